/* The numbers that build.py embeds: base64 of bytes, which are pixels or float16. */

export function bytesOf(base64) {
  return Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
}

/* A float16: 1 bit of sign, 5 of exponent, 10 of fraction (IEEE 754; the weights are all finite).
 */
export function float16(bits) {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 31;
  const fraction = bits & 1023;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}

/* Rows of `width` float16, the lower byte first. */
export function float16Rows(base64, width) {
  const bytes = bytesOf(base64);
  const values = Float64Array.from({ length: bytes.length / 2 }, (_, i) =>
    float16(bytes[2 * i] | (bytes[2 * i + 1] << 8)),
  );
  return rowsOf(values, width);
}

/* Rows of `width` pixels of 0 … 255, as numbers from 0 to 1, rounded to float32 as Python has them.
 */
export function pixelRows(base64, width) {
  return rowsOf(
    Float64Array.from(bytesOf(base64), (pixel) => Math.fround(pixel / 255)),
    width,
  );
}

function rowsOf(values, width) {
  return Array.from({ length: values.length / width }, (_, i) =>
    values.slice(i * width, (i + 1) * width),
  );
}
