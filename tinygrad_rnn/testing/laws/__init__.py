"""Laws that gradients obey: ``law(subject, draw)`` raises LawViolation where one does not hold.

    @check_gradients(x=gs.arrays((3, 4)), laws=[laws.no_mutation])
    def test_my_layer(x):
        return my_layer(x)

``subject`` is a function at a point, ``draw`` the draw function of Hypothesis, for whatever the
law has to choose. Most need nothing else; the others say what.
"""

from tinygrad_rnn.testing.laws.common import Draw, Law
from tinygrad_rnn.testing.laws.general import no_mutation

__all__ = ["Draw", "Law", "no_mutation"]
