"""Lines of optimisers, losses and layers that are wrong on purpose: a test finds each of them."""

import inspect
import textwrap
from functools import partial

import pytest

from tests.losses import test_classification, test_elementwise, test_large_vocabulary, test_linear
from tests.losses import test_reinforcement as reinforcement
from tests.nn import test_attention, test_convolution, test_embedding
from tests.optim import test_averaging, test_gradients, test_optimizers
from tests.optim import test_schedules as of_schedules
from tinygrad_rnn import losses, nn, optim
from tinygrad_rnn.kernels._twin import use_reference
from tinygrad_rnn.kernels.update import norms
from tinygrad_rnn.losses import classification, hierarchical, labels, reducing
from tinygrad_rnn.nn import attention_scores
from tinygrad_rnn.optim import adaptive, schedules


def definition(case):
    return partial(test_optimizers.test_it_is_its_definition, case, "float64")


def masked(kind):
    test = test_classification.test_rows_that_are_masked_have_no_part_whatever_they_hold
    return partial(test, kind)


def trigger():
    test_optimizers.test_averaging_begins_when_the_loss_is_no_longer_the_best(2)


values = test_elementwise.test_values_are_the_definition
probabilities = test_large_vocabulary.test_the_loss_is_that_of_the_probabilities
cross_entropy = partial(test_classification.test_cross_entropy_is_the_definition, None, 0.1)
smoothed_slopes = partial(
    test_linear.test_it_is_linear_and_then_cross_entropy, test_linear.OPTIONS[3], "sum"
)
causal = test_attention.test_a_causal_query_sees_what_a_mask_shows_up_to_its_place
MUTANTS = [  # where, the line, what stands in its place, what finds it
    (optim.Adam.update, "1 - b1**s.t", "1 - b1", definition("adam")),
    (optim.Adam.update, "np.maximum(x.v_max, x.v)", "x.v", definition("amsgrad")),
    (optim.NAdam.update, "s.t + 1)", "s.t)", definition("nadam")),
    (optim.RAdam.update, "rho > 5", "rho > 4", definition("radam")),
    (optim.Adamax.update, "np.absolute(g) + s.eps", "g + s.eps", definition("adamax")),
    (optim.SGD.update, "if s.t > 1 else 1.0", "", definition("momentum")),
    (optim.Lion.update, "b2 * x.m", "b1 * x.m", definition("lion")),
    (optim.Adagrad.update, "(s.t - 1) * s.lr_decay", "s.t * s.lr_decay", definition("adagrad")),
    (adaptive._root, "squares + s.eps)", "squares) + s.eps", definition("adagrad_inside")),
    (optim.RMSprop.update, "v - np.square(x.a), 0.0", "v - x.a, 0.0", definition("centered")),
    (optim.NTASGD.update, "s.averaging + 1", "s.averaging + 2", trigger),
    (optim.Optimizer.gradient, "s.lr * s.weight_decay", "s.weight_decay", definition("adamw")),
    (norms.norm_by, "return math.sqrt(total)", "return total",
     test_gradients.test_parameters_without_gradients_are_passed_over),
    (optim.EMA._share, "1 / t", "1 / (t + 1)",
     test_averaging.test_without_decay_it_is_the_mean),
    (schedules.SequentialLR.options, "t - begin", "t",
     of_schedules.test_functions_and_sequences),
    (schedules.ReduceLROnPlateau._reduce, "> self.eps", "> 0",
     of_schedules.test_a_change_of_the_rate_as_small_as_eps_is_not_made),
    (classification.factors_of, "smoothing / classes", "smoothing", cross_entropy),
    (classification.factors_of, "even * labels.counts", "even", masked("smoothed")),
    (classification.row_slopes, "weights.sum(), even", "1, even", smoothed_slopes),
    (classification.kl_divergence, "counts & beside(where, mask, counts)[..., None]", "counts",
     masked("divergence")),
    (losses.nll, "-labels.parts", "-1.0",
     partial(test_classification.test_nll_of_a_log_softmax_is_cross_entropy, "mean")),
    (labels.labels_of, "counts & ~ignored", "~ignored", masked("classes")),
    (labels._check_range, "ids.min() < 0 or", "",
     test_classification.test_targets_that_cannot_be_are_named),
    (reducing.reduced, "losses.sum() * (1.0 / count)", "losses.mean()",
     partial(test_elementwise.test_what_is_masked_has_no_part_whatever_it_holds, "mse")),
    (losses.huber, "near * 0.5", "near", partial(values, "huber", "none")),
    (losses.bce_with_logits, "(1.0 - y)", "(1.0 + y)", partial(values, "bce_with_logits", "sum")),
    (losses.AdaptiveSoftmax._losses, 'side="right"', 'side="left"',
     partial(probabilities, "adaptive")),
    (hierarchical._huffman, "few + more", "few",
     test_large_vocabulary.test_ways_to_frequent_classes_are_short),
    (losses.SampledSoftmax._contrast, "self._expected", "0 * self._expected",
     test_large_vocabulary.test_a_sampled_softmax_of_every_class_as_often_as_expected_is_the_softmax),
    (losses.MovingBaseline.forward, "before = self", "before = 2 * self",
     reinforcement.test_a_baseline_follows_the_mean_and_never_knows_the_present),
    (nn.Attention._seen, "mask & earlier", "earlier", partial(causal, "dot")),
    (attention_scores.DotScore.forward, "1 / math.sqrt(", "1 / (",
     partial(test_attention.test_a_context_is_the_mean_of_values_weighed_by_the_softmax_of_scores,
             "scaled_dot")),
    (nn.Conv1d.forward, "self.dilation, self", "1, self",
     test_convolution.test_a_convolution_is_its_sum),
    (nn.Conv1d._widths, "(n // 2, n - n // 2)", "(n - n // 2, n // 2)",
     test_convolution.test_padding_that_keeps_the_length_has_the_odd_place_behind),
    (nn.Embedding.forward, "ids != self.padding_id", "ids == ids",
     test_embedding.test_the_vector_of_padding_is_0_and_stays_so),
    (nn.TiedLinear.forward, ", self.bias", "", test_embedding.test_the_output_shares_the_table),
]  # fmt: skip


def mutated(function, line, wrong):
    """The code of a function with another line."""
    source = textwrap.dedent(inspect.getsource(function))
    assert source.count(line) == 1
    names = {}
    exec(source.replace(line, wrong), inspect.unwrap(function).__globals__, names)
    return inspect.unwrap(names[function.__name__]).__code__


def finds(test):
    with use_reference():
        try:
            test()
        except (Exception, pytest.fail.Exception):
            return True
    return False


@pytest.mark.parametrize(("function", "line", "wrong", "test"), MUTANTS)
def test_a_wrong_line_is_found(monkeypatch, function, line, wrong, test):
    assert not finds(test)
    monkeypatch.setattr(inspect.unwrap(function), "__code__", mutated(function, line, wrong))
    assert finds(test)
