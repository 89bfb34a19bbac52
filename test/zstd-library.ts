/**
 * The library that everybody has zstd from: what another reading of a frame is compared with, and a writer of
 * frames. dpkg needs it, so most machines have it; null where it is missing.
 */
import koffi from 'koffi'

export interface ZstdLibrary {
  /** Compress pieces, each of which ends a block. */
  compress(pieces: readonly Buffer[], options?: ZstdOptions): Buffer
  /** The text of one frame; null where it is broken, or longer than the limit. */
  decompress(frame: Buffer, limit: number): Buffer | null
}

export interface ZstdOptions {
  level?: number
  windowLog?: number
  checksum?: boolean
  /** Say the text's length at the beginning. */
  sized?: boolean
}

const parameters = { level: 100, windowLog: 101, sized: 200, checksum: 201 } as const
const goOn = 1
const finish = 2

const open = (): ZstdLibrary | null => {
  let library: ReturnType<typeof koffi.load>
  try {
    library = koffi.load('libzstd.so.1')
  } catch {
    return null
  }
  koffi.struct('ZstdIn', { bytes: 'const uint8_t *', size: 'size_t', at: 'size_t' })
  koffi.struct('ZstdOut', { bytes: 'uint8_t *', size: 'size_t', at: 'size_t' })
  const make = library.func('void *ZSTD_createCCtx()')
  const free = library.func('size_t ZSTD_freeCCtx(void *context)')
  const set = library.func('size_t ZSTD_CCtx_setParameter(void *context, int parameter, int value)')
  const pledge = library.func('size_t ZSTD_CCtx_setPledgedSrcSize(void *context, uint64_t size)')
  const step = library.func(
    'size_t ZSTD_compressStream2(void *context, _Inout_ ZstdOut *out, _Inout_ ZstdIn *in, int how)',
  )
  const isError = library.func('uint32_t ZSTD_isError(size_t code)')
  const decompress = library.func(
    'size_t ZSTD_decompress(uint8_t *into, size_t room, const uint8_t *from, size_t length)',
  )
  const frameLength = library.func(
    'size_t ZSTD_findFrameCompressedSize(const uint8_t *from, size_t length)',
  )
  return {
    compress(pieces, options = {}) {
      const context: unknown = make()
      for (const [name, value] of Object.entries(options))
        set(context, parameters[name as keyof typeof parameters], Number(value))
      const length = pieces.reduce((sum, piece) => sum + piece.length, 0)
      if (options.sized) pledge(context, length)
      const bytes = Buffer.alloc(length + 1000 + 100 * pieces.length)
      const out = { bytes, size: bytes.length, at: 0 }
      for (const [i, piece] of pieces.entries()) {
        const input = { bytes: piece, size: piece.length, at: 0 }
        while (step(context, out, input, i === pieces.length - 1 ? finish : goOn) !== 0);
      }
      free(context)
      return bytes.subarray(0, Number(out.at))
    },
    decompress(frame, limit) {
      // An error is a number near 2^64, which comes as a bigint.
      const length: unknown = frameLength(frame, frame.length)
      if (isError(length)) return null
      const into = Buffer.alloc(limit)
      const made: unknown = decompress(into, limit, frame, length)
      return isError(made) ? null : into.subarray(0, Number(made))
    },
  }
}

export const zstdLibrary = open()
