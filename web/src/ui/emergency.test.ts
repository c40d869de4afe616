import { expect, it } from 'vitest';
import { dialled } from './emergency';

it('dials what a telephone understands', () => {
  expect(dialled('15')).toBe('tel:15');
  expect(dialled('0800 33 33 23')).toBe('tel:0800333323');
  expect(dialled('+33 1 49 95 (65) 65')).toBe('tel:+33149956565');
  expect(dialled('*123#')).toBe('tel:*123#');
  expect(dialled('javascript:alert(1)')).toBe('tel:1');
});
