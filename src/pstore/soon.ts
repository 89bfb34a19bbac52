/** A result that is there at once, or comes later: of a store that this thread looks into, or another one. */
export type Soon<T> = T | Promise<T>

/** Go on with a result: at once where it is there, so that no turn of the event loop is spent on it. */
export const whenDone = <T, U>(result: Soon<T>, next: (result: T) => Soon<U>): Soon<U> =>
  result instanceof Promise ? result.then(next) : next(result)
