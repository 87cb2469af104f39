--- Small dense linear algebra on tables of rows, in doubles: what the fits of methods need.

local linear = {}

local SINGULAR = 1e-12 -- of the largest number of the matrix

local function largest(A)
  local top = 0
  for _, row in ipairs(A) do
    for _, v in ipairs(row) do top = math.max(top, math.abs(v)) end
  end
  return top
end

--- x with A x = b by elimination with row pivots; nil where A is singular.  A and b are left alone.
function linear.solve(A, b)
  local n, M, tiny = #b, {}, SINGULAR * largest(A)
  for i = 1, n do
    M[i] = table.move(A[i], 1, n, 1, {})
    M[i][n + 1] = b[i]
  end
  for c = 1, n do
    local p = c
    for r = c + 1, n do if math.abs(M[r][c]) > math.abs(M[p][c]) then p = r end end
    if not (math.abs(M[p][c]) > tiny) then return nil end
    M[c], M[p] = M[p], M[c]
    for r = c + 1, n do
      local f = M[r][c] / M[c][c]
      for k = c, n + 1 do M[r][k] = M[r][k] - f * M[c][k] end
    end
  end
  local x = {}
  for i = n, 1, -1 do
    x[i] = M[i][n + 1]
    for k = i + 1, n do x[i] = x[i] - M[i][k] * x[k] end
    x[i] = x[i] / M[i][i]
  end
  return x
end

--- X with A X = B, B a table of rows, ridge as in least_squares; nil where A is singular.
function linear.solve_many(A, B, ridge)
  local n, trace, M = #A, 0, {}
  for i = 1, n do trace = trace + A[i][i] end
  for i = 1, n do
    M[i] = table.move(A[i], 1, n, 1, {})
    M[i][i] = M[i][i] + (ridge or 0) * trace / n
    table.move(B[i], 1, #B[i], n + 1, M[i])
  end
  local tiny, width = SINGULAR * largest(A), n + #B[1]
  for c = 1, n do
    local p = c
    for r = c + 1, n do if math.abs(M[r][c]) > math.abs(M[p][c]) then p = r end end
    if not (math.abs(M[p][c]) > tiny) then return nil end
    M[c], M[p] = M[p], M[c]
    for r = c + 1, n do
      local f, row, pivot = M[r][c] / M[c][c], M[r], M[c]
      if f ~= 0 then for k = c, width do row[k] = row[k] - f * pivot[k] end end
    end
  end
  local X = {}
  for i = n, 1, -1 do
    X[i] = table.move(M[i], n + 1, width, 1, {})
    for k = i + 1, n do
      for j = 1, #X[i] do X[i][j] = X[i][j] - M[i][k] * X[k][j] end
    end
    for j = 1, #X[i] do X[i][j] = X[i][j] / M[i][i] end
  end
  return X
end

--- Least squares from the normal equations: w with least |X w - y|, ridge added to the diagonal
-- relative to its mean (default 0); nil where X'X is singular.
function linear.least_squares(X, y, ridge)
  local n = #X[1]
  local A, b, trace = {}, {}, 0
  for i = 1, n do
    A[i], b[i] = {}, 0
    for j = 1, n do A[i][j] = 0 end
  end
  for r, row in ipairs(X) do
    for i = 1, n do
      local v = row[i]
      b[i] = b[i] + v * y[r]
      for j = i, n do A[i][j] = A[i][j] + v * row[j] end
    end
  end
  for i = 1, n do
    trace = trace + A[i][i]
    for j = 1, i - 1 do A[i][j] = A[j][i] end
  end
  for i = 1, n do A[i][i] = A[i][i] + (ridge or 0) * trace / n end
  return linear.solve(A, b)
end

local SWEEPS, ENOUGH = 10000, 1e-12 -- of coordinate descent; relative change that ends it

--- LASSO by coordinate descent: beta with least 1/(2N) |y - Z beta|^2 + lambda |beta|_1.
function linear.lasso(Z, y, lambda)
  local N, n = #Z, #Z[1]
  local A, b, beta = {}, {}, {}
  for i = 1, n do
    A[i], b[i], beta[i] = {}, 0, 0
    for j = 1, n do A[i][j] = 0 end
  end
  for r, row in ipairs(Z) do
    for i = 1, n do
      b[i] = b[i] + row[i] * y[r] / N
      for j = 1, n do A[i][j] = A[i][j] + row[i] * row[j] / N end
    end
  end
  for _ = 1, SWEEPS do
    local moved, size = 0, 0
    for i = 1, n do
      local rest = b[i]
      for j = 1, n do if j ~= i then rest = rest - A[i][j] * beta[j] end end
      local soft = math.abs(rest) > lambda and (rest > 0 and rest - lambda or rest + lambda) or 0
      local new = A[i][i] > 0 and soft / A[i][i] or 0
      moved, beta[i] = math.max(moved, math.abs(new - beta[i])), new
      size = math.max(size, math.abs(new))
    end
    if moved <= ENOUGH * math.max(size, 1e-30) then break end
  end
  return beta
end

return linear
