/**
 * gatewise/metrics: what a classifier confuses, how far its probabilities can be trusted, which learning rate to begin with, and plots of
 * these, as data and as SVG. It needs no module and works on plain results.
 *
 * @module gatewise/metrics
 */

export * from './metrics/classification.js';
export * from './metrics/plots.js';
export * from './metrics/rates.js';
