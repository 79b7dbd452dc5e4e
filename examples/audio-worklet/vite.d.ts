declare module '*?worker&url' {
  /** The address of a bundle. */
  const address: string;
  export default address;
}
