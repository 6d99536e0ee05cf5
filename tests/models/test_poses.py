"""Joints, next poses and gazes: the same by hand, with gaps, whatever stands beside."""

import numpy as np
import pytest

import tinygrad_rnn as tg
from tests.models.slopes import check_slope
from tinygrad_rnn import errors, models, nn, ops, optim
from tinygrad_rnn.models.poses import filled

pytestmark = pytest.mark.usefixtures("reference")

J, D, F, H = 3, 2, 5, 6
LENGTHS = 5, 3, 4
NAN = float("nan")


def poses(lengths=LENGTHS):
    rng = np.random.default_rng(1)
    return [rng.standard_normal((length, J, D)) for length in lengths]


def clips(lengths=LENGTHS):
    rng = np.random.default_rng(2)
    return [rng.standard_normal((length, F)) for length in lengths]


def lost(clip, *places):
    """A clip of which the joints at (frame, joint) are missing."""
    clip = clip.copy()
    for place in places:
        clip[place] = NAN
    return clip


def made(kind, *sizes, **options):
    tg.seed(0)
    return getattr(models, kind)(*sizes, **options).astype(tg.float64)


def learned(model):
    """The model with other weights: none is 0, as biases are that have learned nothing."""
    rng = np.random.default_rng(3)
    for parameter in model.parameters():
        parameter.assign_(parameter.numpy() + 0.1 * rng.standard_normal(parameter.shape))
    return model


def joints(**options):
    return learned(made("VideoJoints", J, D, None, H, features=F, **options))


def gaze(**options):
    return learned(made("GazeDirections", None, H, features=F, **options))


def learned_forecast():
    """One that no longer repeats the last pose."""
    return learned(made("PoseForecast", J, D, H))


# ----- joints in frames -----


def test_joints_by_hand():
    for options in ({}, {"bidirectional": True, "cell": "GRU"}, {"cell": None}):
        model = joints(**options)
        found = model.joints(clips(), batch_size=2)
        for clip, own in zip(clips(), found, strict=True):
            if model.layers is None:
                hidden = ops.relu(model.alone(tg.tensor(clip)))
            else:
                hidden = model.layers(tg.tensor(clip[:, None]))[0][:, 0]
            expected = model.out(hidden).numpy().reshape(-1, J, D)
            np.testing.assert_allclose(own, expected, rtol=1e-11)


def test_what_is_not_known_of_a_pose_teaches_nothing():
    model = joints()
    told = [lost(poses()[0], (0, 1), (4, 2)), poses()[1], lost(poses()[2], (slice(None), 0))]
    loss, values = model.loss(clips(), told)
    found = np.concatenate(model.joints(clips()))
    off = found - np.concatenate(told)
    assert loss.item() == pytest.approx(np.nanmean(np.abs(off)), rel=1e-12)
    assert values["distance"] == pytest.approx(np.nanmean(np.linalg.norm(off, axis=-1)))
    loss.backward()
    assert all(np.isfinite(p.grad.numpy()).all() for p in model.parameters())
    half = poses()[0].copy()
    half[1, 1, 0] = NAN  # a joint is known or it is not
    whole = lost(poses()[0], (1, 1))
    losses = [model.loss(clips()[:1], [one])[0].item() for one in (half, whole)]
    assert losses[0] == losses[1]


# ----- poses as what is read -----


def test_features_of_poses_tell_what_is_missing_and_not_where_a_body_is():
    encoder = made("PoseFeatures", J, D, F)
    clip = lost(poses()[0], (1, 2), (3, slice(None)))
    found = encoder(tg.tensor(clip)).numpy()
    np.testing.assert_allclose(encoder(clip + (3.0, -2.0)).numpy(), found, atol=1e-12)
    seen = clip[1, :2]
    read = np.concatenate([seen - seen.mean(axis=0), [[1], [1]]], axis=1)
    read = np.append(read, [0, 0, 0])
    expected = ops.relu(encoder.read(tg.tensor(read[None]))).numpy()
    np.testing.assert_allclose(found[1], expected[0], rtol=1e-11)
    np.testing.assert_allclose(found[3], np.maximum(encoder.read.bias.numpy(), 0), rtol=1e-11)
    placed = made("PoseFeatures", J, D, F, centred=False)
    assert np.abs(placed(clip).numpy() - placed(clip + 1.0).numpy())[0].max() > 1e-3


def test_gestures_are_learned_from_poses_with_gaps():
    one = [np.cumsum(np.full((4, J, D), step), axis=0) for step in (1.0, -1.0)]
    for clip in one:
        clip[:, 1] *= -1
    told = [lost(clip, (2, 0)) for clip in one]
    model = made("VideoLabels", ["up", "down"], models.PoseFeatures(J, D, F), H, features=F)
    optimizer = optim.Adam(model.parameters(), lr=0.03)
    for _ in range(30):
        loss, _ = model.loss(told, ["up", "down"])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert model.labels(told) == ["up", "down"]


# ----- next poses -----


def by_hand(model, clip, steps):
    """Next poses after a clip without gaps, one step of the cell after the other."""
    cell = model.layers.cells()[0]
    state = tuple(tg.tensor(np.zeros((1, H))) for _ in range(2))
    before, found = clip[0], []
    for t in range(len(clip) + steps - 1):
        x = clip[t] if t < len(clip) else found[-1]
        read = np.concatenate([(x - x.mean(axis=0)).ravel(), (x - before).ravel(), np.ones(J)])
        state = cell(tg.tensor(read[None]), state)
        change = model.out(state[0]).numpy().reshape(J, D)
        before = x
        if t >= len(clip) - 1:
            found.append(x + change)
    return np.stack(found)


def test_next_poses_by_hand():
    model = learned_forecast()
    found = model.forecast(poses(), 3, batch_size=2)
    for clip, own in zip(poses(), found, strict=True):
        np.testing.assert_allclose(own, by_hand(model, clip, 3), rtol=1e-10)


def test_before_it_has_learned_it_repeats_the_last_pose():
    model = made("PoseForecast", J, D, H)
    told = [lost(poses()[0], (4, 1), (3, 1)), lost(poses()[1], (slice(None), 2)), poses()[2]]
    last = [clip[-1].copy() for clip in poses()]
    last[0][1] = poses()[0][2, 1]  # where it was seen last
    last[1][2] = poses()[1][:, :2].mean(axis=(0, 1))  # never: in the middle of the others
    for own, pose in zip(model.forecast(told, 2), last, strict=True):
        np.testing.assert_allclose(own, [pose, pose], rtol=1e-12)


def test_the_loss_is_of_the_poses_told_and_of_those_forecast_from_its_own():
    model = learned_forecast()
    told = [poses()[0], poses()[1], lost(poses()[2], (3, 0))]
    loss, values = model.loss(told, ahead=2)
    off, late = [], []
    for clip in told:
        read = len(clip) - 2
        for t in range(1, read):
            off.append(by_hand(model, clip[:t], 1)[0] - clip[t])
        late += list(by_hand(model, clip[:read], 2) - clip[read:])
    expected = np.nanmean(np.abs(np.stack(off + late)))
    assert loss.item() == pytest.approx(expected, rel=1e-10)
    distance = np.nanmean(np.linalg.norm(np.stack(late), axis=-1))
    assert values["distance"] == pytest.approx(distance, rel=1e-10)
    shorter, _ = model.loss(told, ahead=9)  # a clip of three frames has two to be forecast
    assert shorter.item() == loss.item()


def test_it_does_not_read_what_it_is_to_forecast():
    model = learned_forecast()
    told = [lost(poses()[0], (slice(0, 3), 1)), lost(poses()[1], (0, 0)), poses()[2]]
    late = np.stack(model.forecast([clip[:-2] for clip in told], 2))
    expected = np.linalg.norm(late - [clip[-2:] for clip in told], axis=-1).mean()
    assert model.loss(told, ahead=2)[1]["distance"] == pytest.approx(expected, rel=1e-10)


def test_gaps_have_no_gradient_and_no_influence_but_that_they_are_there():
    model = learned_forecast()
    told = [lost(clip, (1, 1)) for clip in poses()]
    model.loss(told, ahead=2)[0].backward()
    assert all(np.isfinite(p.grad.numpy()).all() for p in model.parameters())
    still = [clip.copy() for clip in poses()]
    for clip in still:
        clip[1, 1] = clip[0, 1]
    gap, seen = (model.forecast(some, 1) for some in (told, still))
    assert all(np.abs(a - b).max() > 1e-6 for a, b in zip(gap, seen, strict=True))
    model.layers.cells()[0].w_x.assign_(
        np.where(
            np.arange(2 * J * D + J)[:, None] < 2 * J * D, model.layers.cells()[0].w_x.numpy(), 0
        )
    )  # one that does not read whether joints are seen
    gap, seen = (model.forecast(some, 1) for some in (told, still))
    np.testing.assert_allclose(gap, seen, rtol=1e-12)


def test_a_joint_that_is_seen_late_was_where_it_is_then():
    model = learned_forecast()
    late = lost(poses()[0], (0, 1), (1, 1))
    before = late.copy()
    before[:2, 1] = late[2, 1]
    (read, seen), (other, _) = (filled([clip], np.float64) for clip in (late, before))
    np.testing.assert_array_equal(read, other)
    assert seen[:, 0].sum(axis=0).tolist() == [5, 3, 5]
    assert np.abs(model.forecast([late], 1)[0] - model.forecast([before], 1)[0]).max() > 1e-6


def test_where_a_body_is_does_not_matter():
    model = learned_forecast()
    near, far = (model.forecast([clip + shift for clip in poses()], 3) for shift in (0.0, 50.0))
    np.testing.assert_allclose(np.stack(near), np.stack(far) - 50, rtol=1e-8, atol=1e-10)


def test_a_swing_is_forecast_better_than_by_its_last_pose():
    t = np.arange(8)[:, None, None] + np.arange(4)[:, None, None, None]
    swings = list(np.sin(t + np.arange(J)[:, None] + np.arange(D)))
    model = made("PoseForecast", J, D, H, cell="RNN")
    optimizer = optim.Adam(model.parameters(), lr=0.04)
    distances = []
    for _ in range(30):
        loss, values = model.loss(swings, ahead=2)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        distances.append(values["distance"])
    assert distances[-1] < 0.4 * distances[0]


# ----- where somebody looks -----


def test_directions_have_length_one_and_the_loss_is_of_angles():
    model = gaze(bidirectional=True, cell="GRU")
    found = model.directions(clips())
    for clip, own in zip(clips(), found, strict=True):
        o = model.out(model.layers(tg.tensor(clip[:, None]))[0]).numpy()[:, 0]
        np.testing.assert_allclose(own, o / np.linalg.norm(o, axis=1, keepdims=True), rtol=1e-9)
    rng = np.random.default_rng(4)
    true = [rng.standard_normal((length, 3)) for length in LENGTHS]
    true[0][2] = NAN
    loss, values = model.loss(clips(), true)
    cosines = np.concatenate([
        (own * y / np.linalg.norm(y, axis=1, keepdims=True)).sum(axis=1)
        for own, y in zip(found, true, strict=True)
    ])  # fmt: skip
    assert loss.item() == pytest.approx(np.nanmean(1 - cosines), rel=1e-9)
    assert values["degrees"] == pytest.approx(np.degrees(np.nanmean(np.arccos(cosines))))
    longer, _ = model.loss(clips(), [7 * y for y in true])
    assert longer.item() == pytest.approx(loss.item(), rel=1e-12)
    loss.backward()
    assert all(np.isfinite(p.grad.numpy()).all() for p in model.parameters())


# ----- all of them -----


@pytest.mark.parametrize("kind", ["joints", "gaze", "forecast"])
def test_what_stands_beside_a_clip_changes_nothing(kind):
    if kind == "forecast":
        model, given = learned_forecast(), [lost(poses()[0], (1, 0)), *poses()[1:]]
        answer = lambda some: model.forecast(some, 3)
    else:
        model, given = {"joints": joints, "gaze": gaze}[kind](bidirectional=True), clips()
        answer = model.joints if kind == "joints" else model.directions
    together = answer(given)
    for clip, own in zip(given, together, strict=True):
        np.testing.assert_allclose(answer([clip])[0], own, rtol=1e-11)
    for one, other in zip(answer(given[::-1])[::-1], together, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-11)


@pytest.mark.parametrize("kind", ["joints", "gaze", "forecast"])
def test_a_clip_of_one_frame_is_answered(kind):
    if kind == "forecast":
        (found,) = learned_forecast().forecast([poses()[0][:1]], 2)
        assert found.shape == (2, J, D)
    elif kind == "joints":
        assert joints().joints([clips()[0][:1]])[0].shape == (1, J, D)
        assert joints().loss([clips()[0][:1]], [poses()[0][:1]])[0].item() > 0
    else:
        assert gaze().directions([clips()[0][:1]])[0].shape == (1, 3)


@pytest.mark.parametrize("kind", ["joints", "gaze", "forecast"])
def test_the_loss_has_the_slope_of_its_values(kind):
    if kind == "forecast":
        model, told = learned_forecast(), [lost(poses()[0], (1, 0), (4, 2)), *poses()[1:]]
        loss = lambda: model.loss(told, ahead=2)[0]
    elif kind == "joints":
        model = joints(bidirectional=True)
        loss = lambda: model.loss(clips(), [lost(poses()[0], (2, 1)), *poses()[1:]])[0]
    else:
        model, rng = gaze(), np.random.default_rng(4)
        true = [rng.standard_normal((length, 3)) for length in LENGTHS]
        loss = lambda: model.loss(clips(), true)[0]
    check_slope(model, loss)


# ----- what is wrong -----


@pytest.mark.parametrize(
    ("make", "error", "told"),
    [
        (
            lambda: joints().loss(clips(), poses()[:2]),
            errors.ArgumentError, "VideoJoints.loss: 3 clips and poses of 2, expected as many",
        ),
        (
            lambda: joints().loss(clips(), [*poses()[:2], poses()[2][:3]]),
            errors.ShapeError, r"poses\[2\] has shape \(3, 3, 2\), expected \(4, 3, 2\)",
        ),
        (
            lambda: joints().loss(clips(), [np.full((n, J, D), NAN) for n in LENGTHS]),
            errors.ArgumentError, "in which nothing is known",
        ),
        (lambda: joints().loss([], []), errors.ArgumentError, r"clips is \[\], expected a list"),
        (
            lambda: joints(cell=None, bidirectional=True),
            errors.ArgumentError, "VideoJoints: bidirectional with cell=None",
        ),
        (
            lambda: models.VideoJoints(0, 2, None, H, features=F),
            errors.ShapeError, "VideoJoints: joints is 0",
        ),
        (
            lambda: made("PoseFeatures", J, D, F)(np.zeros((2, J + 1, D))),
            errors.ShapeError, r"poses have shape \(2, 4, 2\), expected \(N, 3, 2\)",
        ),
        (
            lambda: learned_forecast().forecast([poses()[0], poses()[1][:0]], 2),
            errors.ShapeError, r"forecast: clips\[1\] has shape \(0, 3, 2\), .* a frame or more",
        ),
        (
            lambda: learned_forecast().loss([poses()[0], poses()[1][:1]]),
            errors.ShapeError, r"loss: clips\[1\] has shape \(1, 3, 2\), .* two frames or more",
        ),
        (
            lambda: learned_forecast().loss([lost(poses()[0], slice(1, None))]),
            errors.ArgumentError, "no joint that is to be forecast is known",
        ),
        (
            lambda: learned_forecast().forecast([lost(poses()[0], slice(None))], 2),
            errors.ArgumentError, r"clips\[0\] has no joint that is known, expected one at least",
        ),
        (lambda: learned_forecast().forecast("walk", 2), errors.ArgumentError, "clips is 'walk'"),
        (lambda: learned_forecast().forecast(poses(), 0), errors.ShapeError, "steps is 0"),
        (
            lambda: gaze().loss(clips(), [np.zeros((n, 3)) for n in LENGTHS]),
            errors.ArgumentError, "nothing is known",
        ),
        (
            lambda: gaze().loss(clips(), [1.0, 2.0, 3.0]),
            errors.ShapeError, r"directions\[0\] has shape \(\), expected \(5, 3\)",
        ),
    ],
)  # fmt: skip
def test_errors_say_what_was_expected(make, error, told):
    with pytest.raises(error, match=told):
        make()


def test_models_come_back_from_a_file(tmp_path):
    from tinygrad_rnn import training

    encoder = nn.Sequential(nn.Linear(F, F), nn.ReLU())
    tg.seed(0)
    for number, model in enumerate((
        models.VideoJoints(J, D, encoder, H, features=F),
        models.GazeDirections(models.PoseFeatures(J, D, F), H, features=F, cell=None),
        models.PoseForecast(J, D, H),
    )):  # fmt: skip
        file = tmp_path / f"{number}.safetensors"
        training.save_model(file, model)
        again = training.load_model(file, {type(model).__name__: type(model),
                                           "PoseFeatures": models.PoseFeatures})  # fmt: skip
        for name, value in model.state_dict().items():
            np.testing.assert_array_equal(value, again.state_dict()[name])
