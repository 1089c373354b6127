/** Tool group `people`. */
import { askPerson } from "./ask.ts";

export { askPerson };
export const people = [askPerson];
