"""What CuPy 14 has of NumPy, as far as anybody here may want it.

``tests/standin/test_standin.py`` compares it with CuPy where that can be imported. A parameter
with "=" has a default.
"""

UFUNCS = """
abs absolute acos acosh add arccos arccosh arcsin arcsinh arctan arctan2 arctanh asin asinh atan
atan2 atanh bitwise_and bitwise_invert bitwise_left_shift bitwise_not bitwise_or
bitwise_right_shift bitwise_xor cbrt ceil conj conjugate copysign cos cosh deg2rad degrees divide
divmod equal exp exp2 expm1 fabs float_power floor floor_divide fmax fmin fmod frexp gcd greater
greater_equal heaviside hypot invert isfinite isinf isnan lcm ldexp left_shift less less_equal log
log10 log1p log2 logaddexp logaddexp2 logical_and logical_not logical_or logical_xor maximum
minimum mod modf multiply negative nextafter not_equal positive pow power rad2deg radians
reciprocal remainder right_shift rint sign signbit sin sinh sqrt square subtract tan tanh
true_divide trunc
""".split()

# Which ufuncs can write to places that are named more than once, and which can reduce.
AT = "add subtract maximum minimum bitwise_and bitwise_or bitwise_xor".split()
REDUCE = ["add", "multiply"]

FUNCTIONS = """
all(a, axis=, out=, keepdims=)
allclose(a, b, rtol=, atol=, equal_nan=)
amax(a, axis=, out=, keepdims=)
amin(a, axis=, out=, keepdims=)
angle(z, deg=)
any(a, axis=, out=, keepdims=)
append(arr, values, axis=)
argmax(a, axis=, dtype=, out=, keepdims=)
argmin(a, axis=, dtype=, out=, keepdims=)
argpartition(a, kth, axis=)
argsort(a, axis=, kind=)
argwhere(a)
around(a, decimals=, out=)
array_equal(a1, a2, equal_nan=)
array_split(ary, indices_or_sections, axis=)
atleast_1d(*arys)
atleast_2d(*arys)
atleast_3d(*arys)
average(a, axis=, weights=, returned=, *, keepdims=)
bincount(x, weights=, minlength=)
broadcast_arrays(*args)
broadcast_to(array, shape)
clip(a, a_min, a_max, out=)
column_stack(tup)
compress(condition, a, axis=, out=)
concatenate(tup, axis=, out=, *, dtype=, casting=)
copy(a, order=)
copyto(dst, src, casting=, where=)
count_nonzero(a, axis=)
cross(a, b, axisa=, axisb=, axisc=, axis=)
cumprod(a, axis=, dtype=, out=)
cumsum(a, axis=, dtype=, out=)
diag(v, k=)
diagonal(a, offset=, axis1=, axis2=)
diff(a, n=, axis=, prepend=, append=)
digitize(x, bins, right=)
dot(a, b, out=)
dstack(tup)
einsum(*operands, **kwargs)
empty_like(prototype, dtype=, order=, subok=, shape=)
expand_dims(a, axis)
flatnonzero(a)
flip(a, axis=)
fliplr(a)
flipud(a)
full_like(a, fill_value, dtype=, order=, subok=, shape=)
hstack(tup, *, dtype=, casting=)
imag(val)
inner(a, b)
interp(x, xp, fp, left=, right=, period=)
isclose(a, b, rtol=, atol=, equal_nan=)
isin(element, test_elements, assume_unique=, invert=)
kron(a, b)
lexsort(keys)
matmul(*args, axes=, axis=, keepdims=, casting=, dtype=, signature=, order=, out=)
max(a, axis=, out=, keepdims=)
mean(a, axis=, dtype=, out=, keepdims=)
median(a, axis=, out=, overwrite_input=, keepdims=)
meshgrid(*xi, **kwargs)
min(a, axis=, out=, keepdims=)
moveaxis(a, source, destination)
nan_to_num(x, copy=, nan=, posinf=, neginf=)
nanmax(a, axis=, out=, keepdims=)
nanmean(a, axis=, dtype=, out=, keepdims=)
nanmin(a, axis=, out=, keepdims=)
nansum(a, axis=, dtype=, out=, keepdims=)
nonzero(a)
ones_like(a, dtype=, order=, subok=, shape=)
outer(a, b, out=)
pad(array, pad_width, mode=, **kwargs)
partition(a, kth, axis=)
percentile(a, q, axis=, out=, overwrite_input=, method=, keepdims=, *, interpolation=)
prod(a, axis=, dtype=, out=, keepdims=)
ptp(a, axis=, out=, keepdims=)
put_along_axis(arr, indices, values, axis)
quantile(a, q, axis=, out=, overwrite_input=, method=, keepdims=, *, interpolation=)
ravel(a, order=)
real(val)
repeat(a, repeats, axis=)
reshape(a, newshape, order=, *, copy=)
roll(a, shift, axis=)
rollaxis(a, axis, start=)
rot90(a, k=, axes=)
round(a, decimals=, out=)
searchsorted(a, v, side=, sorter=)
select(condlist, choicelist, default=)
sort(a, axis=, kind=)
split(ary, indices_or_sections, axis=)
squeeze(a, axis=)
stack(tup, axis=, out=, *, dtype=, casting=)
std(a, axis=, dtype=, out=, ddof=, keepdims=)
sum(a, axis=, dtype=, out=, keepdims=)
swapaxes(a, axis1, axis2)
take_along_axis(a, indices, axis)
tensordot(a, b, axes=)
tile(A, reps)
trace(a, offset=, axis1=, axis2=, dtype=, out=)
transpose(a, axes=)
tril(m, k=)
triu(m, k=)
unique(ar, return_index=, return_inverse=, return_counts=, axis=, *, equal_nan=)
unravel_index(indices, dims, order=)
var(a, axis=, dtype=, out=, ddof=, keepdims=)
vdot(a, b)
vstack(tup, *, dtype=, casting=)
where(condition, x=, y=)
zeros_like(a, dtype=, order=, subok=, shape=)
""".strip().splitlines()

# These make arrays of what is on the host.
CREATION = """
arange(start, stop=, step=, dtype=)
eye(N, M=, k=, dtype=, order=)
full(shape, fill_value, dtype=, order=)
identity(n, dtype=)
indices(dimensions, dtype=)
linspace(start, stop, num=, endpoint=, retstep=, dtype=, axis=)
logspace(start, stop, num=, endpoint=, base=, dtype=, axis=)
ones(shape, dtype=, order=)
tri(N, M=, k=, dtype=)
zeros(shape, dtype=, order=)
""".strip().splitlines()

# These answer with a Python object.
ANSWERS = """
can_cast iscomplexobj isrealobj isscalar may_share_memory ndim promote_types result_type shape
shares_memory size
""".split()

# How many elements there are is known on the device alone.
WAITING = "argwhere flatnonzero nonzero unique bincount compress".split()

TYPES = """
bool bool_ byte complex128 complex64 complexfloating double dtype finfo float16 float32 float64
floating generic half iinfo inexact int16 int32 int64 int8 int_ intc integer intp longlong number
short signedinteger single ubyte uint uint16 uint32 uint64 uint8 uintc uintp ulonglong
unsignedinteger ushort
""".split()
CONSTANTS = "e euler_gamma inf nan newaxis pi".split()

METHODS = """
all(axis=, out=, keepdims=)
any(axis=, out=, keepdims=)
argmax(axis=, out=, dtype=, keepdims=)
argmin(axis=, out=, dtype=, keepdims=)
argpartition(kth, axis=)
argsort(axis=, kind=)
choose(choices, out=, mode=)
clip(min=, max=, out=)
compress(condition, axis=, out=)
conj()
conjugate()
cumprod(axis=, dtype=, out=)
cumsum(axis=, dtype=, out=)
diagonal(offset=, axis1=, axis2=)
dot(b, out=)
flatten(order=)
max(axis=, out=, keepdims=)
mean(axis=, dtype=, out=, keepdims=)
min(axis=, out=, keepdims=)
nonzero()
partition(kth, axis=)
prod(axis=, dtype=, out=, keepdims=)
ravel(order=)
repeat(repeats, axis=)
reshape(*shape, order=, copy=)
round(decimals=, out=)
searchsorted(v, side=, sorter=)
sort(axis=, kind=)
squeeze(axis=)
std(axis=, dtype=, out=, ddof=, keepdims=)
sum(axis=, dtype=, out=, keepdims=)
swapaxes(axis1, axis2)
trace(offset=, axis1=, axis2=, dtype=, out=)
transpose(*axes)
var(axis=, dtype=, out=, ddof=, keepdims=)
""".strip().splitlines()

LINALG = """
cholesky cond det eigh eigvalsh inv lstsq matrix_power matrix_rank norm pinv qr slogdet solve svd
""".split()
