/**
 * Topics, as views are given them.
 */
export type Topics = string | readonly string[];

/** A list of its own: an application may change the one that it gave. */
export const listOf = (topics: Topics): string[] => [topics].flat() as string[];
