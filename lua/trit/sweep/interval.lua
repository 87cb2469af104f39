--- Mean and 95 % confidence interval of a few replicates (Student's t).
local interval = {}

-- t for 95 % two-sided, 1..30 degrees of freedom.
local T95 = { 12.706205, 4.302653, 3.182446, 2.776445, 2.570582, 2.446912, 2.364624, 2.306004, 2.262157,
  2.228139, 2.200985, 2.178813, 2.160369, 2.144787, 2.131450, 2.119905, 2.109816, 2.100922, 2.093024,
  2.085963, 2.079614, 2.073873, 2.068658, 2.063899, 2.059539, 2.055529, 2.051831, 2.048407, 2.045230,
  2.042272 }
local Z = 1.959963985

--- Half width factor for `df` degrees of freedom; beyond the table by the expansion in 1/df
-- (Abramowitz & Stegun 26.7.5), exact to six digits there.
function interval.t95(df)
  return T95[df] or Z + (Z ^ 3 + Z) / (4 * df) + (5 * Z ^ 5 + 16 * Z ^ 3 + 3 * Z) / (96 * df ^ 2)
    + (3 * Z ^ 7 + 19 * Z ^ 5 + 17 * Z ^ 3 - 15 * Z) / (384 * df ^ 3)
end

--- Mean of a list and half the width of its 95 % interval; nil for an empty list, and no half width
-- for a single value.
function interval.of(values)
  local n, sum = #values, 0
  if n == 0 then return nil end
  for _, v in ipairs(values) do sum = sum + v end
  local mean, square = sum / n, 0
  if n == 1 then return mean end
  for _, v in ipairs(values) do square = square + (v - mean) ^ 2 end
  return mean, interval.t95(n - 1) * math.sqrt(square / (n - 1) / n)
end

return interval
