"""Writes the kernels of a lowered program: Numba for the CPU, CUDA for a GPU.

``forward.py`` and ``backward.py`` say what segments do, in statements that both languages
have; ``numba_text.py`` and ``cuda_text.py`` make kernels of them. In what is written, names that
end in ``_t`` are addresses of a step's first row; ``z0`` is a product's result, ``a0`` a computed
operand, ``h_old`` and ``h_new`` the rows of a state before and after the step, ``d`` before a
name a gradient.
"""
