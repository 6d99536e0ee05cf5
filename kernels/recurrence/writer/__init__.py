"""Writes the kernels of a lowered program: Numba for the CPU, CUDA for a GPU.

``forward.py`` and ``backward.py`` say what segments do, in statements that both languages
have; ``numba_text.py`` and ``cuda_text.py`` make kernels of them. In what is written:

    v0 = ...           at the top: a line of the program; e0 in a segment: a value of its own
    z0, a0             a product's result, and a computed operand
    w0, wx0            a packed weight that states or operands, and x, are multiplied with
    b0, p_name         a bias that a product starts from, and a row or number of the cell
    s_h_old, s_h_new   a state h before and after the step; s_h_end where the rows that end here
                       leave it, s_h_again what rows are put back to
    r0                 1 / deviation of standardised rows
    d before a name    its gradient; dp_name and dn_H_name those of rows and numbers, summed up
    _t behind a name   the address of a step's first row
    now, after, count  where the rows of this step and of the next one are, and how many there are
    places, flags      where a row stands with the caller, and whether it is put back or cut off
    first ... last, left ... right   the rows and columns that a thread does
    step, width, span  numbers in a vector, in a panel of weights, and in what is done at once
    going, base, final  the rows that go on; where this run's first and final states stand
    kept, dy_row       for how many steps state gradients stay; the bytes from one row of dy on
    turn               whether panels are read from the last to the first, which is still near
"""
