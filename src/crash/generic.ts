/**
 * Functions that a trace passes through and that are not to blame: whatever is wrong, many callers bring them it.
 * A name stands here for a family of the kernel's, not for one report. `*` is any end of a name; underscores
 * before a name count for nothing.
 */

/** Who prints a report, what the compiler put in to check, and how the CPU came from the fault to the report. */
const reporters = `
  dump_stack* dump_backtrace* dump_trace* show_stack* show_regs* show_trace* walk_stackframe walk_stack* stack_trace_*
  save_stack* unwind_next* unwind_get* unwind_dump* unwind_backtrace* arch_stack_walk* print_address_description* print_report* print_context_stack
  end_report start_report panic vpanic panic_saved_regs nmi_panic add_taint abort warn warn_slowpath* warn_printk warn_bogus_irq_restore
  report_bug* fixup_bug handle_bug bug_handler die die_* oops_* print_bad_pte* print_bad_page_map* vm_normal_page* bad_page* free_page_is_bad* rust_helper_BUG
  rust_panic* rust_begin_unwind
  exc_* asm_exc_* idtentry* do_trap do_trap_* do_error_trap do_invalid_op invalid_op do_int3 int3
  do_general_protection general_protection do_page_fault page_fault async_page_fault page_fault_oops
  no_context bad_area* kernelmode_fixup_or_oops do_kernel_fault fault_die* do_undefinstr do_bad_area do_DataAbort
  do_PrefetchAbort do_mem_abort do_translation_fault do_debug_exception brk_handler early_brk64 call_break_hook
  panic_bad_stack handle_bad_stack bad_stack do_ade handle_ade* handle_interruption do_serror arm64_serror_panic arm64_is_fatal_ras_serror dabt_svc und_svc* do_el1_* el1_* el1h_* el1t_* handle_exception user_addr_fault
  k?san_* kasan* kmsan* kcsan* kfence* asan_* hwasan_* msan_* tsan_* ubsan_* sanitizer_* get_shadow_origin_ptr
  check_memory_region* memory_is_* write_comp_data check_region* check_canary* find_watchpoint
  fortify_panic fortify_report stack_chk_fail might_sleep* might_fault might_resched might_alloc cant_sleep*
  schedule_bug preempt_count_add preempt_count_sub check_preemption_disabled this_cpu_preempt_check
  debug_smp_processor_id smp_processor_id* x86_indirect_thunk* x86_return_thunk srso_* efi_call* stext text
  trace_hardirqs_* lockdep_* register_lock_class look_up_lock_class validate_chain valid_state mark_irqflags check_prev* check_noncircular
  check_deadlock check_irq_usage check_usage* mark_lock* mark_held_locks mark_usage debug_check_* lock_is_held*
  lock_acquire* lock_acquired lock_release* lock_downgrade lock_contended lock_pin* rcu_read_lock_*held*
  rcu_lockdep* perf_trace_* trace_event_raw* trace_lock_* trace_contention_* assign_lock_key print_usage_bug* print_circular*
  print_bad_irq* print_deadlock* print_irq* print_lock* bad_range object_err slab_err slab_pad_check
  check_object check_bytes* check_slab on_freelist free_debug_processing alloc_debug_processing print_trailer print_tainted reacquire_held_locks find_held_lock handle_overflow assertfail* btrfs_assertfail* check_panic_on_warn spin_dump spin_bug print_hex_dump* do_tag_check_fault do_tag_recovery do_alignment_fault do_sea RNv*panicking* RNv*rust_begin_unwind
  sched_show_task dump_cpu_task nmi_cpu_backtrace* nmi_trigger* arch_trigger* trigger_* rcu_dump_cpu_stacks*
  print_cpu_stall* print_other_cpu_stall* check_cpu_stall* warn_alloc* watchdog_timer_fn watchdog_overflow_callback watchdog_hardlockup_* virt_addr_valid
  phys_addr* virt_to_phys* read_once_word_nocheck skb_panic skb_over_panic skb_under_panic kcov_* canary*
  page_table_check* check_unmap check_sync ret_from_intr fault_in_kernel_space
`

/** Memory. */
const memory = `
  kmalloc* kzalloc* kcalloc* krealloc* kvmalloc* kvzalloc* kvcalloc* kvrealloc* kmem_* kfree kfree_* kvfree*
  kzfree kstrdup* kstrndup* kmemdup* kvasprintf* kasprintf* vmalloc* vzalloc* vfree* vmap* vunmap* vm_unmap_aliases
  vm_unmap_ram* do_kmalloc* do_kmem* slab_* new_slab* allocate_slab* alloc_slab* free_slab* discard_slab
  cache_alloc* cache_free* cache_grow* cache_from_obj free_block* free_large* free_to_partial* put_cpu_partial
  unfreeze_partials deactivate_slab get_partial* qlist_* qlink_* quarantine* alloc_pages* alloc_page* alloc_bulk*
  alloc_frozen* alloc_percpu* alloc_contig* get_free_pages* free_pages* free_page* free_unref* free_one_page
  free_pcppages* free_frozen* free_compound* put_page* release_pages folio_put* folios_put* folio_alloc* lock_page* unlock_page* folio_lock*
  folio_unlock* folio_wait* folio_batch* folio_add_lru* filemap_alloc_folio* filemap_get_folio* pagecache_get_page
  page_cache_alloc* page_frag* page_cache_* wait_on_page* post_alloc_hook prep_new_page get_page_from_freelist rmqueue* pcpu_*
  free_percpu* create_object* delete_object* mempool_* dma_pool_* devm_* set_memory_* change_page_attr*
  virt_to_cache virt_to_head* obj_cgroup* memcg_* purge_vmap_area* free_vmap* kmemleak_* do_slab_free
  memdup_* init_object set_track* stack_depot* depot_* list_lru_* ref_tracker_*
  xt_alloc_* do_read_cache_*
  read_pages* find_lock_entries find_get_entries truncate_inode_pages* truncate_inode_folio*
`

/** Copying, strings, text, sums and ciphers, registers of devices. */
const texts = `
  memcpy* memset* memmove* memcmp* memchr* memscan* memzero* memdup* bcmp strlen strnlen strcmp strncmp strcpy
  strncpy* strlcpy strscpy* strcat strncat strlcat strchr* strrchr strstr strnstr strsep strspn strcspn strcasecmp
  strncasecmp strpbrk strnchr* strim strreplace sized_strscpy raw_copy_* copy_from_user* copy_to_user* copy_user_*
  copy_in_user copy_from_iter* copy_to_iter* copy_page_to_iter* copy_page_from_iter* copy_from_kernel* copy_to_kernel*
  copy_mc_* get_user* put_user* clear_user* strncpy_from_* strnlen_user* simple_copy_to_iter copyout* copyin*
  iov_iter_* iterate_* instrument_* printk* vprintk* printf sprintf snprintf vsnprintf vscnprintf scnprintf vsprintf
  string string_nocheck string_escape* number pointer put_dec* format_decode print_prefix msg_print_text
  console_unlock console_flush* console_emit* console_trylock* dev_printk* dev_vprintk* dev_info dev_err dev_warn dev_notice dev_alert dev_crit dev_emerg netdev_printk
  netdev_info netdev_err netdev_warn netdev_notice csum_* crc* do_csum
  aes_* aesti_* des_* sha1_* sha256_* sha512_* md5_* xts_* cbc_* ctr_* ecb_* cts_* chacha* poly1305* ghash* blake2*
  crypto_* cipher_* drbg_* rng_setkey rng_seed skcipher_* shash_* ahash_* bitmap_* find_next_*bit* find_first_*bit*
  find_next_* find_first_* find_last_* test_bit* set_bit* clear_bit* test_and_*bit* arch_test* change_bit* jhash* xxh* siphash*
  check_object_size* check_heap_object* usercopy_* raw_readb raw_readw raw_readl raw_writeb raw_writew raw_writel
  readb readw readl readq writeb writew writel writeq inb inw inl outb outw outl ioread* iowrite* logic_in*
  logic_out* pi_dcache_* dcache_clean_*
  dcache_inval_* caches_clean_* arch_sync_dma_* sort sort_r bsearch hex_* get_random_* prandom_* get_unaligned* put_unaligned* read_word_at_a_time
`

/** Locks, counts, RCU. */
const locks = `
  raw_spin_* raw_read_* raw_write_* raw_atomic* do_raw_* spin_lock* spin_unlock* spin_trylock* spin_dump spin_bug
  read_lock* read_unlock* write_lock* write_unlock* rwlock_bug queued_* native_queued* pv_queued* pv_wait*
  arch_spin* mutex_* rt_mutex_* ww_mutex_* rt_spin* rtlock_* rwbase_* rwsem_* down down_* up up_* percpu_down*
  percpu_up* call_rwsem* ldsem_* tty_ldisc_ref_wait tty_ldisc_lock* osq_* mcs_* semaphore_* atomic_* atomic64_* arch_atomic* atomic_dec_and_*
  refcount_* kref_* percpu_ref_* rcu_read_* rcu_note* rcu_is_watching rcu_preempt* rcu_sched_clock_irq* rcu_check_callbacks*
  rcu_qs* rcu_irq* rcu_nmi* rcu_report* rcu_barrier* srcu_read* lock_sock* lock_page* lock_buffer* lock_timer_base
  release_sock seqcount_* seqprop* do_read_seq* local_bh_* bit_spin* dec_and_* lockref_* cmpxchg* xchg*
  try_cmpxchg* tty_lock* ep_lock* wait_on_bit* out_of_line_wait* bit_wait* get_futex_key lock_two_* task_rq_lock* task_blocks_on_rt_mutex raw_spin_rq*
`

/** Lists and trees. */
const lists = `
  list_add* list_del* list_move* list_splice* list_empty* list_entry* list_is_* list_head* hlist_* hlist_bl_* klist_* llist_* plist_*
  rb_* rbt_* xa_* xas_* radix_tree_* idr_* ida_* mas_* mt_* mtree_* rhashtable_* rht_* interval_tree_*
  assoc_array_* sbitmap_* sg_next sg_init* sg_alloc* sg_free* sg_miter* kfifo_* genradix_* list_sort hash_del*
`

/** Waiting, work, timers, and what runs on another CPU. */
const waits = `
  schedule schedule_timeout* schedule_preempt* schedule_idle schedule_hrtimeout* schedule_debug io_schedule* switch_to context_switch
  finish_task_switch* cond_resched* preempt_schedule* wait_for_common wait_for_completion* wait_rcu_gp* wait_on_*
  filemap_fdatawait* wait_event* wait_woken do_wait_intr* do_wait_for_common swait_* prepare_to_wait* prepare_to_swait* finish_wait wake_up wake_up_process wake_up_common* wake_up_q wake_up_sync* wake_up_bit wake_up_locked*
  wake_up_interruptible* wake_up_all wake_up_state wake_up_var try_to_wake_up*
  ttwu_* swake_up* wake_q_* default_wake* autoremove_wake* pollwake* complete complete_* do_complete*
  flush_work* flush_delayed_work start_flush_work flush_workqueue* cancel_work* cancel_delayed_work*
  cancel_timer* queue_work* queue_delayed_work* queue_rcu_work mod_delayed_work* insert_work* drain_workqueue
  destroy_workqueue try_to_grab_pending* work_is_* work_fixup* work_grab* mod_timer* add_timer* del_timer* try_to_del_timer*
  timer_delete* timer_is_* timer_fixup* timer_shutdown* timer_reduce* init_timer* detach_timer* detach_if_* expire_timers
  call_timer_fn internal_add_timer enqueue_timer_list hrtimer_start* hrtimer_cancel* hrtimer_try* hrtimer_init*
  hrtimer_active hrtimer_forward* debug_object_* debug_print_object* debug_check_no_obj* debug_hrtimer* debug_timer*
  debug_work* debug_activate debug_deactivate debug_assert* debug_objects_* usleep* msleep* udelay* const_udelay delay_tsc delay kthread_stop*
  kthread_should_* kthread_park kthread_flush* kthread_queue* kthread_cancel* irq_work_* task_work_add call_rcu* call_srcu* call_function_*
  usb_start_wait_urb usb_control_msg* usb_bulk_msg* usb_interrupt_msg usb_internal_control_msg usb_kill_* usb_submit_urb
  usb_hcd_submit_urb usb_hcd_unlink_urb usb_unlink_urb usb_free_urb* usb_poison_* blk_execute_rq*
  blk_mq_freeze* blk_freeze* blk_queue_enter* kvm_clock_*
`

/** Devices and objects: made, found, and taken down for somebody. */
const objects = `
  kobject_* kobj_* kset_* device_add* device_del device_register device_unregister device_create* device_destroy device_release
  device_initialize device_links_* device_remove_* device_pm_* put_device get_device dpm_sysfs_* pm_runtime_* pm_sysfs*
  sysfs_* kernfs_put kernfs_get kernfs_activate kernfs_drain kernfs_find* kernfs_link* kernfs_add_one kernfs_create_*
  internal_create_group* add_uevent_var bus_add_* bus_remove_* i2c_del_adapter i2c_add_adapter i2c_register_adapter
  cdev_del cdev_add cdev_put debugfs_* proc_create* proc_register proc_mkdir* remove_proc_* dev_set_name
`

/** Buffers of sockets and disks, and calls that only pass on. */
const buffers = `
  kfree_skb* consume_skb* skb_release* skb_put* skb_pull* skb_push* skb_copy_bits* skb_clone* skb_queue_* skb_dequeue* skb_unlink*
  skb_free_head skb_trim* skb_pad* skb_set_owner* skb_orphan* skb_expand* skb_checksum* skb_realloc* skb_headers*
  skb_cow* skb_ensure* skb_ext_* pskb_* alloc_skb* netdev_alloc_* napi_alloc_* sk_free* sk_destruct sk_mem_* sk_prot_*
  sock_wfree sock_rfree sock_efree sock_alloc_send* sock_wmalloc sock_kmalloc sock_kfree* nlmsg_* nla_*
  bio_put bio_alloc* bio_free bio_add_* bio_init submit_bio* generic_make_request* security_* cpumask_*
  put_cred* put_task_struct* put_pid rollback_registered* unregister_netdevice_queue unregister_netdevice_many* unregister_netdev page_pool_alloc*
  inc_nlink drop_nlink clear_nlink set_nlink mark_buffer_dirty* brelse bforget iput dput fast_dput
`

/** What has one of these in its name is one of them for a subsystem: `bpf_prog_array_copy_to_user`, `reiserfs_write_lock`. */
const wrappers = `
  *copy_to_user* *copy_from_user* *get_user* *put_user* *clear_user* *kmalloc* *kzalloc* *kcalloc* *vmalloc* *memcpy* *memset* *memcmp* *memmove*
  *strlen* *spin_lock* *spin_unlock* *write_lock* *read_lock* *write_unlock* *read_unlock* *mutex_lock* *mutex_unlock* *fdatawait*
  *wait_for_completion* *wait_event* *debug_object* *kasan_* *kmsan_* *kcsan_* *refcount_* *atomic_dec_and* *trace_event_*
`

/** How the CPU comes into the kernel, and out of it. */
const entries = `
  entry_* do_syscall_* do_fast_syscall_* do_int80* do_SYSENTER* x64_sys_call ia32_sys_call sysenter_* system_call*
  int_ret_from_sys_call tracesys* ret_fast_syscall ret_slow_syscall ret_to_user stub_execve* stub_clone stub_fork stub_vfork stub_rt_* invoke_syscall el0_* el0t_* do_el0_*
  sys_trace* syscall_* handle_sys* secondary_startup* common_interrupt asm_common_interrupt sysvec_* asm_sysvec_*
  apic_timer_interrupt smp_apic_timer_interrupt trace_apic_timer_interrupt smp_trace_apic_timer_interrupt asm_call_*
  ftrace_call ftrace_caller ftrace_regs_call ftrace_regs_caller kernel_thread_helper kernel_thread_exit call_on_stack irq_svc gic_handle_irq do_softirq_own_stack retint_* ret_from_fork* ret_from_kernel* kthread
  xen_do_hypervisor_callback xen_evtchn_do_upcall worker_thread rescuer_thread process_one_work process_scheduled_works irq_exit* exiting_irq
`

/**
 * Functions that call one of many: a system call, an operation of a file, a protocol's handler, a timer, a work.
 * What they called names a path that stalls or overflows better than where on it that was met.
 */
const dispatchers = `
  netif_receive_skb_list*   vfs_write vfs_read new_sync_write new_sync_read do_iter_write do_iter_readv_writev vfs_ioctl do_vfs_ioctl fput
  task_work_run call_timer_fn process_one_work kvm_vcpu_compat_ioctl process_scheduled_works rtnetlink_rcv_msg nfnetlink_rcv_msg
  nfnetlink_rcv_batch genl_rcv_msg genl_family_rcv_msg* netlink_rcv_skb netif_receive_skb* sock_sendmsg* sock_recvmsg*
  ksys_ioctl x64_sys_ioctl se_sys_ioctl arm64_sys_ioctl ia32_compat_sys_ioctl SyS_ioctl compat_SyS_ioctl sys_ioctl
  sock_common_setsockopt sys_setsockopt do_syscall_* do_fast_syscall_* entry_* invoke_syscall x64_sys_call
  ret_fast_syscall el0_svc*
`

/** Functions by which an interrupt begins: what is below them is what the CPU did before. */
const interrupts = `
  apic_timer_interrupt smp_apic_timer_interrupt trace_apic_timer_interrupt asm_sysvec_* sysvec_* irq_svc el1_irq el1h_64_irq
  asm_common_interrupt common_interrupt ret_from_intr retint_kernel do_IRQ call_function_interrupt
  reschedule_interrupt xen_do_hypervisor_callback xen_evtchn_do_upcall xen_hvm_callback_vector fast_exception_return decrementer_common*
  do_ext_irq ext_int_handler do_cpu_irq_mask intr_return plat_irq_dispatch do_vint handle_riscv_irq riscv_intc_irq tl0_irq* nmi end_repeat_nmi asm_exc_nmi
`

/** What passes on a wait for a lock, but hides who waits. */
const waitsOnly = 'console_lock'

/** What makes memory for somebody: a leak is theirs. */
const makers = '*alloc* kmemleak* create_object*'

/** System calls begin with one of these. */
const calls =
  'entry_* do_syscall_* do_fast_syscall_* el0_* ret_fast_syscall system_call* int_ret_from_sys_call'

/** A matcher of names. The patterns have no repetition within one another, so that its time is linear. */
const matcher = (...families: readonly string[]): ((name: string) => boolean) => {
  const names = families.join(' ').trim().split(/\s+/)
  const pattern = names
    .map(name => name.replaceAll('?', '.').replaceAll('*', '.*').replace(/\.\*$/, ''))
    .map((name, i) => (names[i]!.endsWith('*') ? name : `${name}$`))
  const any = new RegExp(`^_*(?:${pattern.join('|')})`)
  return name => any.test(name)
}

/** Is a function one of those that print reports, and so never at fault? */
export const isReporter = matcher(reporters)
/** Is a function no clue: one that reports, carries or serves whatever code is at fault? */
export const isGeneric = matcher(
  reporters,
  memory,
  texts,
  locks,
  lists,
  waits,
  objects,
  buffers,
  wrappers,
  entries,
  interrupts,
)
/** Does a function call one of many, so that its callee names the path? */
export const isDispatcher = matcher(dispatchers)
/** Does an interrupt begin with a function? */
export const isInterrupt = matcher(interrupts)
/** Is a function no clue of what a task waits for? */
export const isWait = matcher(waitsOnly)
/** Does a function make memory? */
export const isMaker = matcher(makers)
/** Does a system call begin with a function? */
export const isCall = matcher(calls)
