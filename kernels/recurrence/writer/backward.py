"""Writes the backward kernel: every step's segments and products in reverse."""

from typing import Any

from tinygrad_rnn.kernels.recurrence.derivative import Effect
from tinygrad_rnn.kernels.recurrence.layout import bytes_of, sum_of
from tinygrad_rnn.kernels.recurrence.placement import Part
from tinygrad_rnn.kernels.recurrence.program import Width
from tinygrad_rnn.kernels.recurrence.writer.expressions import Lines
from tinygrad_rnn.kernels.recurrence.writer.segments import (
    FLAT,
    MATRIX,
    WEIGHT,
    Writer,
)
from tinygrad_rnn.kernels.recurrence.writer.statements import Let, Store, as_python

__all__ = ["Backward"]


class Backward(Writer):
    """Writes the backward kernel: every step's segments and products in reverse."""

    prefix = "back_"

    def rows(self) -> dict[str, Width]:
        """The rows that segments may touch, and how wide they are."""
        layout = self.layout
        rows: dict[str, Width] = {}
        for i, width in enumerate(layout.buffer_widths):
            rows |= {f"z{i}": width, f"dz{i}": width}
        rows |= {f"da{i}": width for i, width in enumerate(layout.operand_widths)}
        for name, width in zip(layout.states, layout.state_widths, strict=True):
            rows |= {f"{name}_old": width, f"d{name}_old": width, f"d{name}_new": width}
        rows["dy"] = layout.output
        if layout.input:
            rows |= {"x": layout.input, "dx": layout.input}
        return rows | {name: width for name, (_, width) in layout.row_grads.items()}

    def address(self, kind: str, attrs: Any) -> str:
        """How the address of a leaf's current columns is written."""
        if kind == "d_state":  # read: the gradient of the state after the step
            name = self.layout.states[attrs[0]]
            return self.column(f"d{name}_new", attrs[1], self.layout.state_widths[attrs[0]])
        if kind == "d_filled":  # the row itself has no gradient but what was standardised
            return self.column(f"dz{attrs[0]}", attrs[1], self.layout.buffer_widths[attrs[0]])
        return super().address(kind, attrs)

    def goal(self, effect: Effect) -> tuple[str, Width, int]:
        """The row, its width, and the block that an effect writes."""
        layout, place = self.layout, effect.place
        if effect.kind == "d_slot":
            return f"dz{place[0]}", layout.buffer_widths[place[0]], place[1]
        if effect.kind == "d_state":
            return f"d{layout.states[place[0]]}_old", layout.state_widths[place[0]], place[1]
        if effect.kind == "d_input":
            assert layout.input
            return "dx", layout.input, place[0]
        name = sum_of(effect)
        return name, layout.row_grads[name][1], place[1] if effect.kind == "d_param" else 0

    def segments(self) -> list[str]:
        """The functions of all segments."""
        texts = []
        for index, effects in enumerate(self.layout.derivative.effects):
            for letter in dict.fromkeys(self.goal(e)[1].letter for e in effects):
                mine = [e for e in effects if self.goal(e)[1].letter == letter]
                texts.append(self.segment(index, letter, mine))
        return texts

    def segment(self, index: int, letter: str, effects: list[Effect]) -> str:
        """The function of one segment, for the effects of one letter."""
        lines = Lines(self.table, self.address)
        roots = [e.node for e in effects if e.node is not None]
        lines.compute(roots, self.layout.derivative.saved)
        body = lines.lines
        for effect in effects:
            row, width, block = self.goal(effect)
            place = f"{self.block(row, block, width)} + j"
            value = "fill(like, 0.0)" if effect.node is None else lines.names[effect.node]
            if effect.adds:
                value = f"add(load(like, {place}, n), {value})"
            body.append(Store(place, value))
        return self.function(index, letter, self.rows(), body)

    def arguments(self) -> list[tuple[str, str]]:
        """Names and types of the kernel's arguments, in order."""
        layout = self.layout
        arguments = [*self.call_arguments(), ("kept", "intp")]
        if layout.reads_input:
            arguments += [("x", "const(T[:, ::1])"), ("dx", MATRIX)]
        for i in range(len(layout.buffer_widths)):
            arguments += [(f"z{i}", MATRIX), (f"dz{i}", MATRIX)]
        arguments += self.deviations()
        arguments += [(f"da{i}", MATRIX) for i in range(len(layout.operand_widths))]
        for name in layout.states:
            arguments += [(name, MATRIX), (f"d{name}", MATRIX), (f"d{name}_again", MATRIX)]
        arguments += [("dy", "const(T[:, ::1])"), ("dy_row", "intp")]
        for name in layout.row_params:
            arguments.append((f"p_{name}", FLAT))
        arguments += [(name, MATRIX) for name in layout.row_grads]
        return arguments + [(f"w{i}", WEIGHT) for i in range(len(self.lowered.parts))]

    def places(self) -> list[Let]:
        """Where the rows of a step are."""
        layout, found = self.layout, []
        if layout.reads_input and layout.input:
            for name in ("x", "dx"):
                found.append(
                    Let(f"{name}_t", f"address({name}) + now * ({bytes_of(layout.input)})")
                )
        for i, width in enumerate(layout.buffer_widths):
            for name in (f"z{i}", f"dz{i}"):
                found.append(Let(f"{name}_t", f"address({name}) + now * ({bytes_of(width)})"))
        found += [Let(f"da{i}_t", f"address(da{i})") for i in range(len(layout.operand_widths))]
        for name, width in zip(layout.states, layout.state_widths, strict=True):
            of_row = bytes_of(width)
            found += [
                Let(f"{name}_old_t", f"address({name}) + (base + now) * ({of_row})"),
                Let(f"d{name}_new_t", f"address(d{name}) + s % kept * B * ({of_row})"),
                Let(f"d{name}_old_t", f"address(d{name}) + (s + 1) % kept * B * ({of_row})"),
            ]
        found.append(Let("dy_t", "address(dy)"))
        return found + [Let(f"{name}_t", f"address({name})") for name in layout.row_grads]

    def kernel(self) -> str:
        """The text of the kernel."""
        body = ["base = B if reverse else 0"]
        step = self.noise_keys() + as_python(self.places()) + self.turns()
        for index in reversed(range(len(self.lowered.segments))):
            step += self.segment_with_products(index)
        body += self.step("s if reverse else T - 1 - s", step)
        return self.kernel_text("backward", self.arguments(), body)

    def turns(self) -> list[str]:
        """What is known after this step of rows that are put back, or cut off, before the next."""
        lines = [
            "for b in range(first, min(last, going)):",
            "    if has(flags, after + b, RESET | CUT):",
        ]
        layout = self.layout
        for name, width in zip(layout.states, layout.state_widths, strict=True):
            for block in range(width.count):
                offset = f"b * ({bytes_of(width)}) + {block} * {width.letter} * size"
                c = width.letter
                lines += [
                    "        if not has(flags, after + b, CUT):",
                    f"            add_columns(like, d{name}_new_t + {offset}, "
                    f"address(d{name}_again) + {offset}, {c}_left, {c}_right)",
                    f"        clear_columns(like, d{name}_new_t + {offset}, {c}_left, {c}_right)",
                ]
        return lines

    def segment_with_products(self, index: int) -> list[str]:
        """A segment in reverse, and then the products that stood before it."""
        lines = [
            self.call(index, letter, f"{letter}_left", f"{letter}_right")
            for i, letter in self.written
            if i == index
        ]
        parts = [p for p in self.lowered.parts if p.level == index - 1]
        standard = self.standardized(index - 1, "standardize_row_back")
        if parts or standard:
            lines += self.meet()
        if standard:
            lines += standard + self.meet()
        started: set[int] = set()
        for part in parts:
            kind, operand = part.operand
            adds = kind == "state" or operand in started
            if kind == "operand":
                started.add(operand)
            lines += self.part(part, adds)
        return lines

    def part(self, part: Part, adds: bool) -> list[str]:
        """What one part of a product says about the gradient of its operand."""
        number = self.lowered.parts.index(part)
        buffer = self.layout.buffer_widths[part.buffer]
        kind, operand = part.operand
        if kind == "state":
            name = self.layout.states[operand]
            row, width = f"d{name}_old", self.layout.state_widths[operand]
        else:
            row, width = f"da{operand}", self.layout.operand_widths[operand]
        c, depth = width.letter, f"{part.blocks} * {buffer.letter}"
        # Of a single step the caller does the products with states, and packs nothing.
        blocks = f"{width.count}" if kind == "operand" else f"{width.count} if packed else 0"
        return [
            f"for block in range({blocks}):",
            f"    k = {width.count} - 1 - block if turned else block",
            f"    for number in range(count_of_panels({c}_left, {c}_right, span)):",
            f"        u = panel_of({c}_left, {c}_right, span, number, turned)",
            f"        there = {row}_t + first * ({bytes_of(width)}) + (k * {c} + u) * size",
            f"        panel = address(w{number}) + (k * (({c} + step - 1) // step * step) + u) "
            f"* {depth} * size",
            "        multiply(",
            f"            rows_times_weight, like, "
            f"dz{part.buffer}_t + first * ({bytes_of(buffer)}) + "
            f"{part.block} * {buffer.letter} * size, {bytes_of(buffer)}, size,",
            f"            panel, panel_row, step * size * ({depth} if strips else 1),",
            f"            width * size * {depth}, there, {bytes_of(width)}, "
            f"{'there' if adds else '0'}, {bytes_of(width) if adds else '0'},",
            f"            last - first, {depth}, min(span, {c}_right - u),",
            "        )",
        ]
