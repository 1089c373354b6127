/** Money in words, the same on the page and at the command line. A cost that is not zero never shows as zero. */

/** Micro-dollars in dollars: cents from a dollar up, otherwise as many decimals as the amount needs, at least two and at most six. */
export function dollars(microusd: number): string {
  const amount = microusd / 1_000_000;
  if (amount > 0 && amount < 0.000001) return "<$0.000001";
  return `$${amount.toLocaleString("en-US", { minimumFractionDigits: 2, maximumFractionDigits: amount < 1 ? 6 : 2 })}`;
}
