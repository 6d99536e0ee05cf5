"""Laws that gradients obey: ``law(subject, draw)`` raises LawViolation where one does not hold.

    @check_gradients(x=gs.arrays((3, 4)), laws=[laws.no_mutation, laws.layout_invariance])
    def test_my_layer(x):
        return my_layer(x)

``subject`` is a function at a point, ``draw`` the draw function of Hypothesis, for whatever the
law has to choose. Most need nothing else; what some take besides, ``functools.partial`` gives.

Every function      no_mutation, no_aliasing, backward_idempotent, accumulation,
                    linear_in_cotangent, zero_cotangent, undefined_cotangent_equals_zero,
                    needs_grad_lattice, jvp_vjp_adjoint, layout_invariance, graph_released,
                    deterministic, grad_mode_isolated_per_thread, float32_tracks_float64
Shapes and sizes    empty_and_singleton, broadcast_equals_explicit, finite_on_extremes,
                    repeated_weight, embedding_equals_one_hot

Laws of what runs over time take a ``SequenceSubject`` instead:

Rows                batch_permutation, batch_split, padding_invariance, padded_outputs_are_zero,
                    mask_equals_truncate, packed_equals_padded, zero_length, no_steps
Steps               unroll, reverse, layer_stack, time_split, truncation
The state           state_gradient, input_gradient, cell_jacobian_is_forget_gate,
                    saturated_gates_keep_the_state

Laws of the parts of models take a function; each says which:

Softmax, attention  softmax_shift, attention_key_permutation, masked_attention_row_sums, causal
Training            dropout_off_is_identity, dropout_mask_replayed, loss_mean_of_parts,
                    label_ignore_index, clip_norm_scales
Beam search         beam1_is_greedy, beam_wide_is_exhaustive, beam_score_is_logprob
"""

from tinygrad_rnn.testing.laws.common import Draw, Law
from tinygrad_rnn.testing.laws.extents import (
    broadcast_equals_explicit,
    embedding_equals_one_hot,
    empty_and_singleton,
    finite_on_extremes,
    repeated_weight,
)
from tinygrad_rnn.testing.laws.general import (
    accumulation,
    backward_idempotent,
    jvp_vjp_adjoint,
    linear_in_cotangent,
    needs_grad_lattice,
    no_aliasing,
    no_mutation,
    undefined_cotangent_equals_zero,
    zero_cotangent,
)
from tinygrad_rnn.testing.laws.models import (
    attention_key_permutation,
    causal,
    clip_norm_scales,
    dropout_mask_replayed,
    dropout_off_is_identity,
    label_ignore_index,
    loss_mean_of_parts,
    masked_attention_row_sums,
    softmax_shift,
)
from tinygrad_rnn.testing.laws.over_time import SequenceLaw
from tinygrad_rnn.testing.laws.search import (
    beam1_is_greedy,
    beam_score_is_logprob,
    beam_wide_is_exhaustive,
)
from tinygrad_rnn.testing.laws.sequence import (
    batch_permutation,
    batch_split,
    layer_stack,
    mask_equals_truncate,
    no_steps,
    packed_equals_padded,
    padded_outputs_are_zero,
    padding_invariance,
    reverse,
    unroll,
    zero_length,
)
from tinygrad_rnn.testing.laws.state import (
    cell_jacobian_is_forget_gate,
    input_gradient,
    saturated_gates_keep_the_state,
    state_gradient,
    time_split,
    truncation,
)
from tinygrad_rnn.testing.laws.surroundings import (
    deterministic,
    float32_tracks_float64,
    grad_mode_isolated_per_thread,
    graph_released,
    layout_invariance,
)

__all__ = [
    "Draw", "Law", "SequenceLaw", "accumulation", "attention_key_permutation",
    "backward_idempotent", "batch_permutation", "batch_split", "beam1_is_greedy",
    "beam_score_is_logprob", "beam_wide_is_exhaustive", "broadcast_equals_explicit", "causal",
    "cell_jacobian_is_forget_gate", "clip_norm_scales", "deterministic", "dropout_mask_replayed",
    "dropout_off_is_identity", "embedding_equals_one_hot", "empty_and_singleton",
    "finite_on_extremes", "float32_tracks_float64", "grad_mode_isolated_per_thread",
    "graph_released", "input_gradient", "jvp_vjp_adjoint", "label_ignore_index", "layer_stack",
    "layout_invariance", "linear_in_cotangent", "loss_mean_of_parts", "mask_equals_truncate",
    "masked_attention_row_sums", "needs_grad_lattice", "no_aliasing", "no_mutation", "no_steps",
    "packed_equals_padded", "padded_outputs_are_zero", "padding_invariance", "repeated_weight",
    "reverse", "saturated_gates_keep_the_state", "softmax_shift", "state_gradient", "time_split",
    "truncation", "undefined_cotangent_equals_zero", "unroll", "zero_cotangent", "zero_length",
]  # fmt: skip
