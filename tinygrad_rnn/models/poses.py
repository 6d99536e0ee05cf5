"""Bodies as joints: where they are in each frame of a clip, and where they will be next.

A pose is an array (J, D): J joints in D dimensions; NaN where a joint is not known.
"""

from typing import Any

import numpy as np

from tinygrad_rnn import losses, nn, ops
from tinygrad_rnn.arguments import flag, shortened, whole
from tinygrad_rnn.device import Array, array_module, host_array, there
from tinygrad_rnn.errors import ArgumentError, ShapeError
from tinygrad_rnn.models.clip_reader import FrameNumbers
from tinygrad_rnn.models.layers import CellChoice, recurrent_layers
from tinygrad_rnn.models.some_rows import some_rows
from tinygrad_rnn.tensor import Tensor, constant
from tinygrad_rnn.training.run_state import evaluating

__all__ = ["PoseFeatures", "PoseForecast", "VideoJoints"]


class VideoJoints(FrameNumbers):
    """Where the joints of a body are in each frame of a clip.

        h_1 ... h_T = layers(f_1 ... f_T)              f_t: features of frame t
        pose of t = h_t w + b                          (J, D)

        model = models.VideoJoints(15, 2, encoder, 128, features=64, bidirectional=True)
        loss, values = model.loss(clips, poses)        # poses: (T, J, D) for each clip
        model.joints(clips)

    The loss is the mean of |x - y| over what is known: where a pose has NaN nothing is taught.

    Args:
        joints: J.
        dims: D.
        encoder: Any module that makes (N, F) of frames (N, C, H, W), or None, as for
            ``VideoLabels``; so are all others.
        cell: None looks at each frame alone.
    """

    def __init__(
        self,
        joints: int,
        dims: int,
        encoder: nn.Module | None,
        hidden_size: int,
        **options: Any,
    ) -> None:
        self.shape = _shape("VideoJoints", joints, dims)
        super().__init__(joints * dims, encoder, hidden_size, **options)

    def forward(self, clips: Any) -> tuple[Tensor, Array]:
        """Poses (T, B, J, D), and how many frames each clip has."""
        hidden, lengths = self.hidden(clips)
        found = self.out(self.dropout(hidden))
        return found.reshape(*found.shape[:2], *self.shape), lengths

    def loss(self, clips: Any, poses: Any) -> tuple[Tensor, dict[str, Any]]:
        """The mean of |x - y|, and {"distance": ...}, the mean distance of joints."""
        found, lengths = self(clips)
        targets, known = self._taught("poses", poses, lengths, self.shape, found.dtype)
        loss = losses.l1(found, constant(targets, found), mask=known)
        return loss, {"distance": _distance(found, targets, known)}

    def joints(self, clips: Any, *, batch_size: int = 64) -> list[Array]:
        """The pose in each frame of each clip, (T, J, D)."""
        return self._of_frames(clips, batch_size)


class PoseFeatures(nn.Module):
    """An encoder of poses, for whatever reads clips: features of each frame's joints.

        f = relu([x - c; seen] w + b)                  c: the mean of the joints that are seen

    Joints that are not known, NaN, are 0 beside a 0 that says so. Where a body is does not matter.

        model = models.VideoLabels(names, models.PoseFeatures(15, 2, 64), 128, features=64)
        model.loss(poses, labels)                      # poses: (T, J, D) for each clip

    poses (N, J, D)  ->  (N, features)

    Args:
        centred: False leaves c out: features also tell where it is.
    """

    def __init__(self, joints: int, dims: int, features: int, *, centred: bool = True) -> None:
        super().__init__()
        self.shape = _shape("PoseFeatures", joints, dims)
        self.centred = flag("PoseFeatures", "centred", centred)
        self.read = nn.Linear(joints * (dims + 1), features)

    def forward(self, poses: Any) -> Tensor:
        """Poses (N, J, D) -> features (N, F)."""
        x = poses.numpy() if isinstance(poses, Tensor) else host_array(poses)
        if x.shape[1:] != self.shape:
            raise ShapeError(
                f"PoseFeatures: poses have shape {x.shape}, expected (N, {self.shape[0]}, "
                f"{self.shape[1]})."
            )
        seen = np.isfinite(x).all(axis=-1, keepdims=True)
        x = np.where(seen, x, 0)
        if self.centred:
            middle = x.sum(axis=1, keepdims=True) / np.maximum(seen.sum(axis=1, keepdims=True), 1)
            x = np.where(seen, x - middle, 0)
        read = np.concatenate([x, seen], axis=-1).reshape(len(x), -1)
        return ops.relu(self.read(constant(read, self.read.weight)))


class PoseForecast(nn.Module):
    """The next poses of a body, each from what it has forecast itself before.

        h_t = layers([x_t - c_t; x_t - x_{t-1}; seen_t])       c_t: the mean of the joints
        x_{t+1} = x_t + h_t w + b

    Before it has learned w = 0 and b = 0: it repeats the last pose. In training it reads a clip
    up to its last ``ahead`` frames, being told each next pose, and then goes on by itself, as it
    will when it is asked (after Martinez et al. 2017). A joint that is not known, NaN, stays where
    it was seen last, and ``seen_t`` says so; where it is to be forecast nothing is taught.

        model = models.PoseForecast(15, 2, 128)
        loss, values = model.loss(poses, ahead=8)      # poses: (T, J, D) for each clip
        model.forecast(poses, 8)                       # (8, J, D) for each

    Args:
        joints: J.
        dims: D.
        hidden_size: The width of the layers.
        cell: As for ``LanguageModel``.
        options: Those of recurrent layers.
    """

    def __init__(
        self,
        joints: int,
        dims: int,
        hidden_size: int,
        *,
        cell: CellChoice = "LSTM",
        num_layers: int = 1,
        **options: Any,
    ) -> None:
        super().__init__()
        where = "PoseForecast"
        self.shape = J, D = _shape(where, joints, dims)
        read = 2 * J * D + J
        self.layers = recurrent_layers(where, cell, read, hidden_size, num_layers, options)
        self.out = nn.Linear(self.layers.output_size, J * D)
        for parameter in self.out.parameters():
            nn.init.zeros_(parameter)

    # ----- training -----

    def loss(self, clips: Any, *, ahead: int = 8) -> tuple[Tensor, dict[str, Any]]:
        """The mean of |x - y| over the joints of next poses, and {"distance": ...}.

        "distance" is the mean distance of joints in the frames that it forecast by itself.

        Args:
            ahead: How many frames these are; fewer in batches with a shorter clip.
        """
        arrays = self._clips("loss", clips, 2)
        ahead = min(whole("PoseForecast.loss", "ahead", ahead, 1), min(map(len, arrays)) - 1)
        lengths = np.array([len(array) - ahead for array in arrays])
        told, after = self._next_ones(
            [array[:length] for array, length in zip(arrays, lengths, strict=True)], ahead
        )
        poses, seen = filled(arrays, self.out.weight.dtype)
        columns = np.arange(len(arrays))
        # what was told ends one frame early: the frame behind it is the first of those forecast
        steps = np.arange(len(told))[:, None]
        before = steps < lengths - 1
        targets = np.concatenate([
            poses[1 : len(told) + 1], [poses[lengths + n, columns] for n in range(ahead)]
        ])  # fmt: skip
        known = np.concatenate([
            seen[1 : len(told) + 1] & before[..., None],
            [seen[lengths + n, columns] for n in range(ahead)],
        ])  # fmt: skip
        if not known.any():
            raise ArgumentError(
                f"PoseForecast.loss: clips are {shortened(clips)}, in which no joint that is to "
                "be forecast is known, expected one at least."
            )
        found = ops.concat([told, ops.stack(after)]).reshape(len(targets), -1, *self.shape)
        loss = losses.l1(found, constant(targets, found), mask=known)
        late = known[-ahead:]
        if not late.any():
            return loss, {}
        return loss, {"distance": _distance(found[-ahead:], targets[-ahead:], late)}

    def _next_ones(self, clips: list[Array], steps: int) -> tuple[Tensor, list[Tensor]]:
        """Next poses (T, B, J D) after each frame of clips, and so many (B, J D) after the last.

        Gaps are filled from these frames alone, which may be the beginnings of longer clips.
        """
        lengths = np.array([len(clip) for clip in clips])
        poses, seen = filled(clips, self.out.weight.dtype)
        told, state = self._read(poses, seen, lengths)
        return told, self._go_on(told, poses, lengths, state, steps)

    def _read(self, poses: Array, seen: Array, lengths: Array) -> tuple[Tensor, Any]:
        """Next poses (T, B, J D) after each of the frames that are read, and the state."""
        x = constant(poses.reshape(*poses.shape[:2], -1), self.out.weight)
        changes = np.diff(poses, axis=0, prepend=poses[:1]).reshape(x.shape)
        read = self._seen(x, constant(changes, x), seen)
        hidden, state = self.layers(read, lengths=lengths)
        return x + self.out(hidden), state

    def _go_on(
        self, told: Tensor, poses: Array, lengths: Array, state: Any, steps: int
    ) -> list[Tensor]:
        """So many poses (B, J D) after those that were read, each from the one before."""
        rows = np.arange(len(lengths))
        last = constant(poses[lengths - 1, rows].reshape(len(rows), -1), told)
        found = [told[lengths - 1, rows]]
        seen = np.ones((1, len(rows), self.shape[0]), bool)
        while len(found) < steps:
            x = found[-1]
            read = self._seen(x[None], (x - last)[None], seen)
            hidden, state = self.layers(read, state)
            last = x
            found.append(x + self.out(hidden[0]))
        return found

    def _seen(self, x: Tensor, changes: Tensor, seen: Array) -> Tensor:
        """What layers read of poses (T, B, J D)."""
        places = x.reshape(*x.shape[:2], *self.shape)
        places = (places - places.mean(2, keepdims=True)).reshape(x.shape)
        return ops.concat([places, changes, constant(seen, x)], axis=-1)

    # ----- forecasting -----

    def forecast(self, clips: Any, steps: int, *, batch_size: int = 256) -> list[Array]:
        """The next poses (steps, J, D) after each clip, which may have a single frame."""
        steps = whole("PoseForecast.forecast", "steps", steps, 1)
        arrays = self._clips("forecast", clips, 1)
        for number, array in enumerate(arrays):
            if not np.isfinite(array).all(axis=-1).any():
                raise ArgumentError(
                    f"PoseForecast.forecast: clips[{number}] has no joint that is known, expected "
                    "one at least."
                )
        found: list[Array] = []
        with evaluating(self):
            for rows in some_rows("PoseForecast.forecast", len(arrays), batch_size):
                some = arrays[rows]
                _, after = self._next_ones(some, steps)
                next_ones = np.stack([pose.numpy() for pose in after], axis=1)
                found += list(next_ones.reshape(len(some), steps, *self.shape))
        return found

    def _clips(self, where: str, clips: Any, least: int) -> list[Array]:
        if not hasattr(clips, "__len__") or isinstance(clips, str) or not len(clips):
            raise ArgumentError(
                f"PoseForecast.{where}: clips is {shortened(clips)}, expected a list of arrays, "
                f"one or more, each (T, {self.shape[0]}, {self.shape[1]}) of poses."
            )
        arrays = [host_array(clip) for clip in clips]
        for number, array in enumerate(arrays):
            if array.ndim != 3 or array.shape[1:] != self.shape or len(array) < least:
                frames = "a frame or more" if least == 1 else "two frames or more"
                raise ShapeError(
                    f"PoseForecast.{where}: clips[{number}] has shape {array.shape}, expected "
                    f"(T, {self.shape[0]}, {self.shape[1]}) with {frames}."
                )
        return arrays


def _shape(where: str, joints: int, dims: int) -> tuple[int, int]:
    """(J, D) of a pose."""
    return whole(where, "joints", joints, 1), whole(where, "dims", dims, 1)


def _distance(found: Tensor, targets: Array, known: Array) -> Any:
    """The mean distance of joints that are known, found where the forecast ones are."""
    xp, joints = array_module(found._data), found.data
    with there(joints):
        away = np.sqrt(np.square(joints - xp.asarray(targets)).sum(axis=-1))
        return np.where(xp.asarray(known), away, 0).sum() / np.count_nonzero(known)


def filled(clips: list[Array], dtype: Any) -> tuple[Array, Array]:
    """Poses (T, B, J, D) without gaps, and which joints were seen, (T, B, J).

    A joint that is missing stays where it was seen last; before it is first seen it is where it
    will be, and one that never is in the middle of the others.
    """
    length = max(map(len, clips))
    poses = np.zeros((length, len(clips), *clips[0].shape[1:]), dtype)
    seen = np.zeros(poses.shape[:-1], bool)
    for number, clip in enumerate(clips):
        there = np.isfinite(clip).all(axis=-1)
        seen[: len(clip), number] = there
        if there.all():
            poses[: len(clip), number] = clip
            continue
        steps = np.arange(len(clip))[:, None]
        latest = np.maximum.accumulate(np.where(there, steps, -1), axis=0)
        source = np.where(latest < 0, there.argmax(axis=0), latest)
        own = np.take_along_axis(clip, source[..., None], axis=0)
        middle = clip[there].mean(axis=0) if there.any() else 0.0
        poses[: len(clip), number] = np.where(there.any(axis=0)[:, None], own, middle)
    return poses, seen
