/**
 * What the published types need of the platform, so that they hold under the DOM's types, under Node's, and under neither. The DOM's
 * library declares WebAssembly; `Symbol.dispose` is in no library before that of ES2026.
 */
declare global {
  interface SymbolConstructor {
    readonly dispose: unique symbol;
  }
}

/** A `WebAssembly.Module`, where its type is known. */
export type WasmModule = typeof globalThis extends { WebAssembly: { Module: { prototype: infer Module } } }
  ? Module
  : object;

/** The memory of an instance: a `WebAssembly.Memory`. */
export interface WasmMemory {
  readonly buffer: ArrayBuffer;
  grow(pages: number): number;
}

/** Bytes as engines take them. */
export type Bytes = ArrayBuffer | ArrayBufferView;
