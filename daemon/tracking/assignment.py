"""The best one-to-one matching of rows and columns (the assignment problem), for small tables."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def assign(cost: NDArray[np.float64], worst: float) -> tuple[tuple[int, int], ...]:
    """Matches rows with columns so that the sum of ``cost - worst`` over the pairs is least.

    A pair dearer than ``worst`` is never made, and leaving a row alone costs as much as such a
    pair: a small ``worst`` keeps a good match rather than two barely possible ones, a great one
    makes as many pairs as can be.

    The method is Kuhn's Hungarian one in the form with potentials and shortest augmenting paths:
    R. Jonker, A. Volgenant, "A Shortest Augmenting Path Algorithm for Dense and Sparse Linear
    Assignment Problems", Computing 38 (1987). It takes rows x columns x rows steps.

    Args:
        cost: shape (rows, columns); infinity marks a pair that cannot be.
        worst: the greatest cost of a pair that may be made.

    Returns:
        Pairs (row, column), by row. Equal sums are settled by position, always the same way.
    """
    possible = np.argwhere(cost <= worst).tolist()
    pairs: list[tuple[int, int]] = []
    for rows, columns in _parts(possible):
        if len(rows) == len(columns) == 1:
            pairs.append((rows[0], columns[0]))
            continue
        part = np.minimum(cost[np.ix_(rows, columns)] - worst, 0.0)
        turned = len(rows) > len(columns)
        for first, second in enumerate(_match_every_row(part.T if turned else part)):
            row, column = (second, first) if turned else (first, second)
            pairs.append((rows[row], columns[column]))
    return tuple(sorted(pair for pair in pairs if cost[pair] <= worst))


def _parts(possible: list[list[int]]) -> list[tuple[list[int], list[int]]]:
    """Rows and columns that hang together by possible pairs.

    People far from each other do not compete for boxes, so that a crowd is many small problems.
    """
    columns_of: dict[int, list[int]] = {}
    rows_of: dict[int, list[int]] = {}
    for row, column in possible:
        columns_of.setdefault(row, []).append(column)
        rows_of.setdefault(column, []).append(row)
    parts: list[tuple[list[int], list[int]]] = []
    seen: set[int] = set()
    for first in columns_of:
        if first in seen:
            continue
        rows, columns, waiting = {first}, set[int](), [first]
        while waiting:
            for column in columns_of[waiting.pop()]:
                if column not in columns:
                    columns.add(column)
                    new = set(rows_of[column]) - rows
                    rows |= new
                    waiting += new
        seen |= rows
        parts.append((sorted(rows), sorted(columns)))
    return parts


def _match_every_row(cost: NDArray[np.float64]) -> list[int]:
    """The column of each row in the cheapest full matching of a table with rows <= columns."""
    rows, columns = cost.shape
    row_potential = np.zeros(rows)
    column_potential = np.zeros(columns)
    row_of = np.full(columns, -1)
    for start in range(rows):
        # Dijkstra from a free row to the nearest free column over reduced costs.
        distance = np.full(columns, np.inf)
        came_from = np.full(columns, -1)
        done = np.zeros(columns, bool)
        row, column, reached = start, -1, 0.0
        while True:
            through = reached + cost[row] - row_potential[row] - column_potential
            shorter = ~done & (through < distance)
            distance[shorter] = through[shorter]
            came_from[shorter] = column
            column = int(np.argmin(np.where(done, np.inf, distance)))
            reached = float(distance[column])
            done[column] = True
            if row_of[column] < 0:
                break
            row = int(row_of[column])
        for visited in np.flatnonzero(done):
            step = reached - distance[visited]
            column_potential[visited] -= step
            if row_of[visited] >= 0:
                row_potential[row_of[visited]] += step
        row_potential[start] += reached
        while column >= 0:
            previous = int(came_from[column])
            row_of[column] = start if previous < 0 else row_of[previous]
            column = previous
    result = [0] * rows
    for column, row in enumerate(row_of.tolist()):
        if row >= 0:
            result[row] = column
    return result
