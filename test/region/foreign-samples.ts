/** How files of each form begin that is told by name, and what the line says. */
export interface ForeignSample {
  readonly head: string
  readonly says: RegExp
}

const word = '44424743 00000000 00000010 6c6c6568    DBGC....'

export const foreignSamples: readonly ForeignSample[] = [
  { head: 'KDUMP   \x06', says: /^a dump with compressed pages: .*ELF core/ },
  { head: 'DISKDUMP', says: /^a dump with compressed pages/ },
  { head: 'makedumpfile\0\0\0\0', says: /^a dump with compressed pages/ },
  { head: 'QFI\xfb\0\0\0\x03', says: /qcow2 image: `qemu-img convert -O raw`/ },
  { head: 'KDMV\x01\0\0\0', says: /VMDK image: `qemu-img/ },
  { head: 'vhdxfile', says: /VHDX image/ },
  { head: '<<< Oracle VM VirtualBox Disk Image >>>\n', says: /VDI image/ },
  { head: ':\xff\x26\xed\x01\0\0\0', says: /Android sparse image: `simg2img/ },
  { head: `${'a.img'.padEnd(257, '\0')}ustar\x0000`, says: /tar archive: .*`tar -xf/ },
  { head: 'PK\x03\x04', says: /zip archive/ },
  { head: "7z\xbc\xaf'\x1c", says: /7z archive/ },
  { head: '\x1f\x9d\x90', says: /compress: unpack it: `gzip -dc/ },
  {
    head: '00000000: 4442 4743 0000 0000  DBGC....\n00000008: 0000 0010 6c6c 6568  ....hell\n',
    says: /^is a hex dump: `xxd -r FILE/,
  },
  { head: '00001000: 4442  DB\n00001002: 4743  GC\n', says: /`xxd -r -s -0x1000 FILE/ },
  {
    head: '$ xxd x\n\n00000000: 44 42 47 43  DBGC\n00000004: 00 00 00 00  ....\n',
    says: /`xxd -r FILE/,
  },
  {
    head: '00000000  44 42 47 43 00 00 00 00  00 00 00 00 00 00 00 00  |DBGC............|\n00000010  44 42                                             |DB|\n',
    says: /hexdump -C.*sed/,
  },
  {
    head: '0000000 4244 4347 0000 0000\n0000008 4244 4347 0000 0000\n',
    says: /hex dump: make it again with `xxd`/,
  },
  {
    head: '000000 44 42 47 43  >DBGC<\n000004 44 42 47 43  >DBGC<\n',
    says: /`xxd -r FILE/,
  },
  {
    head: '0000000 44 42 47 43 44 42 47 43\n0000010 44 42 47 43 44 42 47 43\n',
    says: /make it again/,
  },
  {
    head: '0000000 041104 041507 000000\n0000006 041104 041507 000000\n',
    says: /octal dump/,
  },
  { head: `80000000: ${word}\n80000010: ${word}\n`, says: /words of 4 bytes.*-s -0x80000000/ },
  { head: '00000000: 4244 4347    DBGC\n00000004: 0000 0000    ....\n', says: /words of 2 bytes/ },
  {
    head: '=> md.b 80000000 8\n80000000: 44 42 47 43    DBGC\n80000004: 00 00 00 00    ....\n',
    says: /`xxd -r -s -0x80000000 FILE/,
  },
  { head: ':10010000214601360121470136007EFE09D2190140\r\n:00000001FF\r\n', says: /Intel HEX/ },
  { head: 'S00F000068656C6C6F202020202000003C\nS5030003F9\n', says: /S-record/ },
  { head: `${'44'.repeat(30)}\n${'00'.repeat(30)}\n`, says: /plain hex dump: `xxd -r -p/ },
  { head: `${'RGJD'.repeat(19)}\n${'QUFB'.repeat(19)}\n`, says: /^is base64/ },
  {
    head: "begin 644 region.img\nM1$)'0P``\n",
    says: /^is uuencoded: `uudecode -o region.img FILE`/,
  },
  { head: 'Subject: it\n\nbegin-base64 600 a b\nREJHQw==\n', says: /uudecode/ },
  { head: '/dts-v1/;\n/ { };\n', says: /source of a device tree: `dtc/ },
  { head: '// SPDX\n/* a * b\n **/\n#include <x>\n /dts-v1/ ;\n', says: /source of a device tree/ },
]
