/// <reference lib="esnext.disposable" preserve="true" />
import { checkBoolean, checkObject, invalidThis, invalidType, isObject } from './arguments.js';
import { AioError, throwCollected } from './errors.js';
import { native } from './load.js';
import type { NotifierHandle } from './native.js';

/** What watches notifiers for a context: it has to stop before a notifier's file descriptor is closed. */
export interface NotifierWatcher {
  /** Stops; gives what is to be called once it is closed, which may throw. */
  unwatch(fd: number): () => void;
}

/** The handle of `value`, which has to be a notifier, and who watches it. */
export let notifierParts: (
  value: unknown,
  name: string,
) => { handle: NotifierHandle; watchers: Set<NotifierWatcher> };

/**
 * An event notifier: a flag that can be set, and that a context can watch with `setEventNotifier()`. It is a
 * non-blocking eventfd(2), so whatever has its file descriptor can set it too. The original's `EventNotifier`.
 */
export class EventNotifier implements Disposable {
  readonly #handle: NotifierHandle;
  readonly #watchers = new Set<NotifierWatcher>();

  static {
    notifierParts = (value, name) => {
      if (!isObject(value) || !(#handle in value))
        throw invalidType(name, 'an instance of EventNotifier', value);
      return { handle: value.#handle, watchers: value.#watchers };
    };
  }

  /**
   * Makes a notifier. The original's `event_notifier_init`.
   *
   * @param options - `active`: whether it is set from the start
   * @throws an {@link AioError} with the errno if there are no file descriptors left
   */
  constructor(options: { active?: boolean } = {}) {
    checkObject(options, 'options');
    const { active = false } = options;
    checkBoolean(active, 'options.active');
    this.#handle = native.notifierNew(active);
  }

  /**
   * Its file descriptor, which stays its own. The original's `event_notifier_get_fd`.
   *
   * @throws `ERR_AIO_CLOSED`
   */
  get fd(): number {
    if (!isObject(this) || !(#handle in this)) throw invalidThis('EventNotifier');
    const fd = native.notifierFd(this.#handle);
    if (fd < 0) throw new AioError('ERR_AIO_CLOSED', 'The notifier is closed');
    return fd;
  }

  /**
   * Sets it. It stays set until it is cleared, however often it is set. The original's `event_notifier_set`.
   *
   * @throws `ERR_AIO_CLOSED`
   */
  set(): void {
    if (!isObject(this) || !(#handle in this)) throw invalidThis('EventNotifier');
    native.notifierSet(this.#handle);
  }

  /**
   * Clears it. The original's `event_notifier_test_and_clear`.
   *
   * @returns whether it was set
   * @throws `ERR_AIO_CLOSED`
   */
  testAndClear(): boolean {
    if (!isObject(this) || !(#handle in this)) throw invalidThis('EventNotifier');
    return native.notifierTestAndClear(this.#handle);
  }

  /**
   * Closes its file descriptor; contexts that watch it stop doing so. Again: nothing. The original's
   * `event_notifier_cleanup`.
   *
   * @throws what the `pollEnd` of its handlers have thrown, once it is closed
   */
  close(): void {
    if (!isObject(this) || !(#handle in this)) throw invalidThis('EventNotifier');
    const fd = native.notifierFd(this.#handle);
    const errors: unknown[] = [];
    const attempt = <T>(step: () => T): T | undefined => {
      try {
        return step();
      } catch (error) {
        errors.push(error);
        return undefined;
      }
    };
    // What the script does in a `pollEnd` comes last: it could register it again.
    const ends = [...this.#watchers].map((watcher) => attempt(() => watcher.unwatch(fd)));
    this.#watchers.clear();
    native.notifierClose(this.#handle);
    for (const end of ends) if (end) attempt(end);
    if (errors.length > 0) throwCollected(errors);
  }

  [Symbol.dispose](): void {
    this.close();
  }
}
