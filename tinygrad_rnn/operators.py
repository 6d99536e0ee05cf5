"""What a Tensor can do, for type checkers and readers: declared here, bound by ``ops``.

``ops`` needs Tensor, and Tensor's operators need ``ops``; declaring below and binding
above keeps every import pointing downwards.
"""


class Operators:
    """Methods and operators of a Tensor; ``tinygrad_rnn.ops`` binds them."""

    __slots__ = ()
