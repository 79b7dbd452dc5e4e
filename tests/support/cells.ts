/** Options that every cell has, or what comes closest to them. */
import type { CellName, RecurrentOptions } from 'gatewise';
import { hasRecurrentWeights } from '#dist/bindings/cells/index.js';

type Some = Partial<Pick<RecurrentOptions, 'weightDrop' | 'zoneoutHidden' | 'hiddenSize'>>;

/** The next even number for a cell whose state is complex. */
export function widthFor(cell: CellName, H: number): number {
  return cell === 'lru' ? H + (H % 2) : H;
}

/** Options without those that the cell refuses: `weightDrop` without recurrent weights, zoneout of outputs that are not fed back. */
export function fitting<T extends Some>(cell: CellName, options: T): T {
  const { weightDrop, zoneoutHidden, ...rest } = options;
  return {
    ...rest,
    ...(weightDrop === undefined || !hasRecurrentWeights(cell) ? {} : { weightDrop }),
    ...(zoneoutHidden === undefined || cell === 'lru' ? {} : { zoneoutHidden }),
  } as T;
}
