"""Names of products: "a b 700 200 800 float32" is (700, 200) times (200, 800)."""

# A form's shapes of the two arrays in memory, from the sizes of the forward product a b. The
# backward forms are the products of its gradient: da = dc bT and db = aT dc.
FORMS = {
    "a b": lambda M, K, N: ((M, K), (K, N)),
    "a bT": lambda M, K, N: ((M, N), (K, N)),
    "aT b": lambda M, K, N: ((M, K), (M, N)),
    "fifty": lambda M, K, N: ((M, K), (K, N)),
}


def parse(name):
    *form, M, K, N, dtype = name.split()
    return " ".join(form), int(M), int(K), int(N), dtype
