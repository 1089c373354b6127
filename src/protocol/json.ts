/** A value that JSON gives back unchanged. Everything that crosses a turn, a store or a wire is one. */
export type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json | undefined };
