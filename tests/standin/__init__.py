"""A stand-in for CuPy, made of NumPy: what a machine without a GPU can prove of the GPU's side.

Its arrays behave as CuPy's do wherever those differ from NumPy's: they never become a NumPy
array or a number by accident, meet arrays of no other device, give arrays without axes instead
of scalars, know only the functions and arguments that CuPy has, and take an index out of range
for another one. What waits for the device is counted; memory is counted, and can run out.

``machine.py`` is the pretended machine, ``arrays.py`` its arrays, ``names.py`` what CuPy has,
``functions.py`` those functions, ``protocols.py`` operators and NumPy's protocols, ``module.py``
puts them together as ``cupy``.
"""

from tests.standin import protocols  # noqa: F401 binds the operators
from tests.standin.machine import Machine
from tests.standin.module import installed

__all__ = ["Machine", "installed"]
