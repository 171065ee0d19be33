// Rows of a table.

// Row `from[row]` of the table for each row of y.
extern "C" __global__ void gather_rows(idx rows, int channels, const idx *from, const real *table, real *y) {
    FOR_ROWS(row, c, rows, channels) y[row * channels + c] = table[from[row] * channels + c];
}

// The rows of dy in order[starts[n]..starts[n + 1]] belong to one row of the table, `to` of any of them, and are added to
// it in this order.
extern "C" __global__ void scatter_add_rows(idx named, int channels, const idx *starts, const idx *order, const idx *to,
                                            const real *dy, real *table) {
    FOR_ROWS(n, c, named, channels) {
        idx at = to[order[starts[n]]] * channels + c;
        real sum = table[at];
        for (idx k = starts[n]; k < starts[n + 1]; k++) sum += dy[order[k] * channels + c];
        table[at] = sum;
    }
}
