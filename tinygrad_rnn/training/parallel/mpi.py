"""MPIGroup: processes that mpiexec has started; needs the package mpi4py and an MPI library."""

from typing import Any

from tinygrad_rnn.training.parallel.group import ProcessGroup, Work, on_the_cpu, place_in

__all__ = ["MPIGroup"]


class MPIGroup(ProcessGroup):
    """Processes of MPI, on one machine or on several; arrays of NumPy.

        mpiexec -n 4 python train.py              # with group = parallel.MPIGroup() in it

    MPI requires that a sum is the same in all processes. Where one of them dies, mpiexec ends all.

    Args:
        comm: A communicator of mpi4py; None: all processes.
    """

    def __init__(self, comm: Any = None) -> None:
        self._mpi = _mpi()
        # Calls of ours must not meet those that others make over the same communicator.
        self._comm = (self._mpi.COMM_WORLD if comm is None else comm).Dup()
        self.rank, self.size = int(self._comm.Get_rank()), int(self._comm.Get_size())
        self._going: list[Any] = []

    def all_reduce(self, array: Any, async_op: bool = False) -> Work:
        """Replace an array by the sum of those of all processes, in place."""
        array = on_the_cpu("MPIGroup.all_reduce", array)
        request = self._comm.Iallreduce(self._mpi.IN_PLACE, array, op=self._mpi.SUM)
        work = _Request(request, array)
        if not async_op:
            work.wait()
            return work
        # Most libraries go on with what was begun only while they are called.
        self._going = [one for one in self._going if not one.over()]
        self._going.append(work)
        return work

    def broadcast(self, array: Any, root: int = 0) -> None:
        """Replace an array by that of the process ``root``."""
        root, _ = place_in("MPIGroup.broadcast", root, self.size)
        self._comm.Bcast(on_the_cpu("MPIGroup.broadcast", array), root)

    def close(self) -> None:
        """Give the communicator back; all processes do so."""
        if self._comm is not None:
            self._comm.Free()
            self._comm = None


class _Request:
    def __init__(self, request: Any, array: Any) -> None:
        self._request, self._array = request, array

    def over(self) -> bool:
        """Whether it is done; lets it go on."""
        return bool(self._request.Test())

    def wait(self) -> None:
        """Return when it is done."""
        self._request.Wait()


def _mpi() -> Any:
    try:
        from mpi4py import MPI
    except ImportError as error:
        raise ImportError(
            "MPIGroup needs the package mpi4py. Install it with: pip install "
            "'tinygrad-rnn[distributed]'"
            if isinstance(error, ModuleNotFoundError)
            else f"MPIGroup: mpi4py finds no MPI library ({error}). Install one, such as with: "
            "pip install mpich"
        ) from None
    except RuntimeError as error:  # the package is there, a library to load is not
        raise ImportError(
            f"MPIGroup: mpi4py finds no MPI library ({error}). Install one, such as with: pip "
            "install mpich"
        ) from None
    return MPI
