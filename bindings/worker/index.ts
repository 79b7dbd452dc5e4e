/**
 * gatewise/worker: models in workers, so that a page stays responsive while it trains.
 *
 * @module gatewise/worker
 */

export type { Workers, WorkersUsed } from '../train/shards.js';
export { inWorker } from './in-worker.js';
export { WorkerError, type WorkerOptions } from './link.js';
export {
  type JoinOptions,
  type LayersModel,
  type LayersTeam,
  type Piece,
  type ReplicaOptions,
  Replicas,
  replicas,
} from './replicas.js';
export type { InWorker, RemoteModel, RemoteStream, Tasks } from './types.js';
