/** A caller's open transaction: a pg client that has run its BEGIN, or a transaction of Kysely, of postgres.js, or of Drizzle on pg or
 *  postgres.js. Checked again at run time. */
export type Tx =
  | { query(...args: never[]): unknown; readonly totalCount?: never } // a pg pool has a totalCount
  | { readonly isTransaction: true; executeQuery(...args: never[]): unknown }
  | { unsafe(...args: never[]): unknown; savepoint(...args: never[]): unknown } // outside a transaction there is no savepoint
  | { readonly _: { readonly session: object }; rollback(): never }; // only a transaction of Drizzle has a rollback
