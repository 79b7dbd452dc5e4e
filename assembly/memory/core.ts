/** Functions of the running core, whose memory this module works on: imports, from the module that has the name of this file. */
export declare function expArray(y: usize, x: usize, n: i32): void;
export declare function logArray(y: usize, x: usize, n: i32): void;
export declare function log1pArray(y: usize, x: usize, n: i32): void;
export declare function sigmoidArray(y: usize, x: usize, n: i32): void;
export declare function tanhArray(y: usize, x: usize, n: i32): void;
