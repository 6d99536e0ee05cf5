"""Writes the forward kernel: every step's products and segments."""

from tinygrad_rnn.kernels.recurrence.blocks import Target
from tinygrad_rnn.kernels.recurrence.layout import bytes_of
from tinygrad_rnn.kernels.recurrence.placement import Part
from tinygrad_rnn.kernels.recurrence.program import Width
from tinygrad_rnn.kernels.recurrence.writer.expressions import Lines
from tinygrad_rnn.kernels.recurrence.writer.segments import (
    FLAT,
    MATRIX,
    WEIGHT,
    Writer,
    indent,
)
from tinygrad_rnn.kernels.recurrence.writer.statements import (
    CopyRow,
    Let,
    Statement,
    Store,
    When,
    as_python,
)

__all__ = ["Forward"]


class Forward(Writer):
    """Writes the forward kernel: every step's products and segments."""

    def rows(self) -> dict[str, Width]:
        """The rows that segments may touch, and how wide they are."""
        layout = self.layout
        rows = {f"z{i}": width for i, width in enumerate(layout.buffer_widths)}
        rows |= {f"a{i}": width for i, width in enumerate(layout.operand_widths)}
        for name, width in zip(layout.states, layout.state_widths, strict=True):
            rows |= {f"{name}_old": width, f"{name}_new": width, f"{name}_again": width}
        rows["y"] = layout.output
        if layout.input:
            rows["x"] = layout.input
        return rows

    def segments(self) -> list[str]:
        """The functions of all segments."""
        texts = []
        done: set[int] = set()
        saved = self.layout.derivative.saved
        for index, targets in enumerate(self.lowered.segments):
            kept = {n: slot for n, slot in saved.items() if n in done}
            cone = self.table.cone([t.node for t in targets], stop=kept)
            saves = [n for n in cone if n in saved and n not in done]
            for letter in dict.fromkeys(map(self.letter_of, targets)):
                mine = [t for t in targets if self.letter_of(t) == letter]
                my_saves = [n for n in saves if self.table[n].letter == letter]
                texts.append(self.segment(index, letter, mine, my_saves, kept))
            done.update(saves)
        return texts

    def letter_of(self, target: Target) -> str:
        """The letter of the target's width."""
        return self.target_row(target)[1].letter

    def target_row(self, target: Target) -> tuple[str, Width]:
        """The row that a target is a block of."""
        layout = self.layout
        if target.kind == "operand":
            return f"a{target.number}", layout.operand_widths[target.number]
        if target.kind == "state":
            return f"{layout.states[target.number]}_new", layout.state_widths[target.number]
        if target.kind == "filled":
            return f"z{target.number}", layout.buffer_widths[target.number]
        return "y", layout.output

    def segment(
        self, index: int, letter: str, targets: list[Target], saves: list[int],
        kept: dict[int, tuple[int, int]],
    ) -> str:  # fmt: skip
        """The function of one segment, for the targets of one letter."""
        lines = Lines(self.table, self.address)
        lines.compute([t.node for t in targets] + saves, kept)
        body = lines.lines
        after: list[Statement] = []
        saved = self.layout.derivative.saved
        for node in saves:
            body.append(Store(self.address("slot", saved[node]), lines.names[node]))
        for target in targets:
            row, width = self.target_row(target)
            value, place = lines.names[target.node], self.block(row, target.block, width)
            body.append(Store(f"{place} + j", value))
            if target.kind != "state":
                continue
            if target.number == self.lowered.output_state:
                copy = self.block("y", target.block, width)
                body.append(When("y_t != 0", (Store(f"{copy} + j", value),)))
            name = self.layout.states[target.number]
            again = self.block(f"{name}_again", target.block, width)
            put_back = "b < going and has(flags, after + b, RESET)"
            after.append(When(put_back, (CopyRow(again, place),)))
        return self.function(index, letter, self.rows(), body, after)

    def arguments(self) -> list[tuple[str, str]]:
        """Names and types of the kernel's arguments, in order."""
        layout = self.layout
        arguments = self.call_arguments()
        if layout.given_input:
            arguments += [("x", "const(T[:, ::1])"), ("inside", "intp")]
        arguments += [(f"z{i}", MATRIX) for i in range(len(layout.buffer_widths))]
        arguments += self.deviations()
        arguments += [(f"a{i}", MATRIX) for i in range(len(layout.operand_widths))]
        for name in layout.states:
            arguments += [(name, MATRIX), (f"{name}_again", "const(T[:, ::1])")]
        arguments += [("y", MATRIX)]
        arguments += [(f"p_{name}", FLAT) for name in layout.row_params]
        for i, buffer in enumerate(self.lowered.buffers):
            if buffer.bias and (layout.input_parts or not buffer.hoisted):
                arguments.append((f"b{i}", FLAT))
        arguments += [(f"wx{i}", WEIGHT) for i in range(len(layout.input_parts))]
        return arguments + [(f"w{i}", WEIGHT) for i in range(len(self.lowered.parts))]

    def places(self) -> list[Let]:
        """Where the rows of a step are."""
        layout, found = self.layout, []
        if layout.given_input and layout.input:
            found.append(Let("x_t", f"address(x) + now * ({bytes_of(layout.input)})"))
        for i, width in enumerate(layout.buffer_widths):
            found.append(Let(f"z{i}_t", f"address(z{i}) + now * ({bytes_of(width)})"))
        for i, width in enumerate(layout.operand_widths):
            found.append(Let(f"a{i}_t", f"address(a{i}) + now * ({bytes_of(width)})"))
        for name, width in zip(layout.states, layout.state_widths, strict=True):
            of_row = bytes_of(width)
            found += [
                Let(f"{name}_old_t", f"address({name}) + (base + now) * ({of_row})"),
                Let(f"{name}_new_t", f"address({name}) + (base + after) * ({of_row})"),
                Let(f"{name}_end_t", f"address({name}) + final * ({of_row})"),
                Let(f"{name}_again_t", f"address({name}_again)"),
            ]
        return found

    def kernel(self) -> str:
        """The text of the kernel."""
        # States before each step, and beyond them the final ones: where they were, backwards.
        body = ["base, final = (B, 0) if reverse else (0, offsets[T])"]
        step = self.noise_keys() + as_python(self.places())
        step.append("y_t = address(y) if len(y) > 0 else 0")
        for index in range(len(self.lowered.segments)):
            step += self.segment_with_products(index)
        body += self.step("T - 1 - s if reverse else s", step)
        return self.kernel_text("forward", self.arguments(), body)

    def segment_with_products(self, index: int) -> list[str]:
        """The products before a segment, and the segment, a panel of columns at a time."""
        parts = [p for p in self.layout.input_parts if p.level == index - 1]
        parts += [p for p in self.lowered.parts if p.level == index - 1]
        segments = [letter for i, letter in self.written if i == index]
        standard = self.standardized(index - 1, "standardize_row")
        # What is standardised needs all columns of its products, from all threads.
        passes = [(parts, []), ([], segments)] if standard else [(parts, segments)]
        lines: list[str] = []
        for products, letters in passes:
            panels = self.panels(index, products, letters)
            lines += panels + (self.meet() if panels else [])
            if products is parts and standard:
                lines += standard + self.meet()
        return lines

    def panels(self, index: int, parts: list[Part], segments: list[str]) -> list[str]:
        """Products, and segments of some letters, a panel of columns at a time."""
        lines: list[str] = []
        letters = [self.layout.buffer_widths[p.buffer].letter for p in parts]
        for letter in dict.fromkeys(letters + segments):
            columns = f"{letter}_left, {letter}_right, span"
            lines += [
                f"for number in range(count_of_panels({columns})):",
                f"    u = panel_of({columns}, number, turned)",
                f"    wide = min(span, {letter}_right - u)",
            ]
            for part in parts:
                if self.layout.buffer_widths[part.buffer].letter == letter:
                    lines += indent(self.part(part), 1)
            if letter in segments:
                lines.append("    " + self.call(index, letter, "u", "u + wide"))
        return lines

    def part(self, part: Part) -> list[str]:
        """One part of a product, for the columns from ``u`` on."""
        buffer = self.layout.buffer_widths[part.buffer]
        kind, operand = part.operand
        if kind == "input":
            assert self.layout.input
            weight = f"wx{self.layout.input_parts.index(part)}"
            row, width = "x", self.layout.input
        else:
            weight = f"w{self.lowered.parts.index(part)}"
        if kind == "state":
            row, width = f"{self.layout.states[operand]}_old", self.layout.state_widths[operand]
        elif kind == "operand":
            row, width = f"a{operand}", self.layout.operand_widths[operand]
        letter = buffer.letter
        depth = f"{width.count} * {width.letter}" if width.letter else f"{width.count}"
        start, start_row = "there", f"{bytes_of(buffer)}"
        if not part.adds:
            bias = self.lowered.buffers[part.buffer].bias
            start, start_row = "0", "0"
            if bias:
                start = f"address(b{part.buffer}) + (({part.block} + k) * {letter} + u) * size"
        lines = [
            f"for k in range({part.blocks}):",
            f"    there = z{part.buffer}_t + first * ({bytes_of(buffer)}) "
            f"+ (({part.block} + k) * {letter} + u) * size",
            f"    panel = address({weight}) + (k * {letter} + u) * size",
            "    if packed:",
            f"        panel = address({weight}) "
            f"+ (k * (({letter} + step - 1) // step * step) + u) * {depth} * size",
            "    multiply(",
            f"        rows_times_weight, like, {row}_t + first * ({bytes_of(width)}),",
            f"        {bytes_of(width)}, size,",
            f"        panel, panel_row if packed else {weight}.strides[0],",
            f"        step * size * ({depth} if packed and strips else 1),",
            f"        width * size * ({depth} if packed else 1), "
            f"there, {bytes_of(buffer)}, {start}, {start_row},",
            f"        last - first, {depth}, wide,",
            "    )",
        ]
        return ["if inside:", *indent(lines, 1)] if kind == "input" else lines
