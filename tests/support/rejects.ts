import { ok } from 'uvu/assert';

/** That a promise is rejected with such a message. */
export async function rejects(promise: PromiseLike<unknown>, message: RegExp): Promise<void> {
  let caught: unknown;
  try {
    await promise;
  } catch (error) {
    caught = error;
  }
  ok(caught instanceof Error, 'it was not rejected');
  ok(message.test(caught.message), `${caught.message}, expected ${message}`);
}
