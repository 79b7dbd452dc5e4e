/** The worker file as text, for where it cannot be loaded by its address. The build replaces this. */
export default '' as string;
