"""Arrays in, arrays out: the fast loops, which know nothing of Tensor.

This folder stands at the top of the repository and is imported as
``tinygrad_rnn.kernels``. ``README.md`` beside this file says how to read a family.
"""
