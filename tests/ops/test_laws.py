"""Every operation keeps every law: values, derivatives of both orders, and what must not matter."""

from tests.ops.specs import SPECS
from tinygrad_rnn.testing import check_op

test_operation = check_op(*SPECS.values())
