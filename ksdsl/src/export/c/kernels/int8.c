//! struct ksn_finish 24
/* From a sum to an output: factors, shifts, zeros and limits. */
struct ksn_finish {
    int32_t a, b, c;
    uint8_t before, after, last;
    int8_t x, other, y, low, high;
    uint8_t identity;
};
//! ksn_shift
/* v / 2^n to the nearest, halves up. */
static int32_t ksn_shift(int64_t v, uint32_t n)
{
    const int64_t most = (int64_t)1 << 30;
    v += n > 0 ? (int64_t)1 << (n - 1) : 0;
    v = v >= 0 ? v >> n : ~(~v >> n);
    return (int32_t)(v > most ? most : v < -most ? -most : v);
}
//! ksn_finished
/* The function of the table, if there is one, at a sum; then the zero and the limits. */
static int8_t ksn_finished(const struct ksn_finish *f, const int32_t *table, int64_t sum)
{
    const int32_t end = (int32_t)8 << 16;
    int32_t y = ksn_shift(sum, f->after);
    if (table) {
        if (y < -end) {
            y = table[0];
        } else if (y >= end) {
            y = f->identity ? y : table[512];
        } else {
            const int32_t at = (y + end) >> 11, rest = (y + end) & 2047;
            y = table[at] + ksn_shift((int64_t)(table[at + 1] - table[at]) * rest, 11);
        }
        y = ksn_shift((int64_t)y * f->c, f->last);
    }
    y += f->y;
    return (int8_t)(y < f->low ? f->low : y > f->high ? f->high : y);
}
//! ksn_channel
/* A sum with the factor and the addition of its channel. */
static int64_t ksn_channel(const struct ksn_finish *f, const int16_t *factors, const int16_t *additions, int32_t sum,
                           int32_t channel)
{
    const int32_t v = factors ? ksn_shift((int64_t)sum * factors[channel], f->before) : sum;
    return (int64_t)v * f->a + (additions ? (int64_t)additions[channel] * f->b : 0);
}
//! ksn_conv
/* A convolution: kernel [output][row][column][input]. */
static void ksn_conv(const struct ksn_conv *s, const struct ksn_finish *f, const int8_t *x, const int8_t *w,
                     const int16_t *factors, const int16_t *additions, const int32_t *table, int8_t *y)
{
    const int32_t in = (int32_t)s->channels / s->groups, out = (int32_t)s->outputs / s->groups, zero = f->x;
    int32_t row, column, output, ky, kx, i;
    for (row = 0; row < s->rows; row++) {
        for (column = 0; column < s->columns; column++) {
            const int8_t *k = w;
            for (output = 0; output < s->outputs; output++) {
                const int8_t *first = x + output / out * in;
                int32_t sum = 0;
                for (ky = 0; ky < s->kernel_height; ky++) {
                    const int32_t iy = row * s->stride_y + ky * s->dilation_y - s->top;
                    for (kx = 0; kx < s->kernel_width; kx++, k += in) {
                        const int32_t ix = column * s->stride_x + kx * s->dilation_x - s->left;
                        if (iy >= 0 && iy < s->height && ix >= 0 && ix < s->width) {
                            const int8_t *p = first + (iy * s->width + ix) * s->channels;
                            for (i = 0; i < in; i++) {
                                sum += (p[i] - zero) * k[i];
                            }
                        }
                    }
                }
                *y++ = ksn_finished(f, table, ksn_channel(f, factors, additions, sum, output));
            }
        }
    }
}
//! ksn_depthwise
/* A convolution of each channel with its own kernel, [row][column][channel], or of the first of them. */
static void ksn_depthwise(const struct ksn_conv *s, const struct ksn_finish *f, const int8_t *x, const int8_t *w,
                          const int16_t *factors, const int16_t *additions, const int32_t *table, int8_t *y)
{
    const int32_t zero = f->x;
    int32_t row, column, ky, kx, i;
    for (row = 0; row < s->rows; row++) {
        for (column = 0; column < s->columns; column++) {
            for (i = 0; i < s->outputs; i++) {
                const int8_t *k = w + i;
                int32_t sum = 0;
                for (ky = 0; ky < s->kernel_height; ky++) {
                    const int32_t iy = row * s->stride_y + ky * s->dilation_y - s->top;
                    for (kx = 0; kx < s->kernel_width; kx++, k += s->channels) {
                        const int32_t ix = column * s->stride_x + kx * s->dilation_x - s->left;
                        if (iy >= 0 && iy < s->height && ix >= 0 && ix < s->width) {
                            sum += (x[(iy * s->width + ix) * s->channels + i] - zero) * *k;
                        }
                    }
                }
                *y++ = ksn_finished(f, table, ksn_channel(f, factors, additions, sum, i));
            }
        }
    }
}
//! ksn_affine
/* A factor and an addition for each channel, if there are any. */
static void ksn_affine(const struct ksn_finish *f, const int8_t *x, const int16_t *factors, const int16_t *additions,
                       const int32_t *table, int8_t *y, uint32_t positions, int32_t channels)
{
    uint32_t at;
    int32_t i;
    for (at = 0; at < positions; at++) {
        for (i = 0; i < channels; i++) {
            const int32_t sum = *x++ - f->x;
            *y++ = ksn_finished(f, table, ksn_channel(f, factors, additions, sum, i));
        }
    }
}
//! ksn_add
static void ksn_add(const struct ksn_finish *f, const int8_t *a, const int8_t *b, const int32_t *table, int8_t *y,
                    uint32_t n, uint32_t step_a, uint32_t step_b)
{
    uint32_t i;
    for (i = 0; i < n; i++, a += step_a, b += step_b) {
        y[i] = ksn_finished(f, table, (int64_t)(*a - f->x) * f->a + (int64_t)(*b - f->other) * f->b);
    }
}
//! ksn_multiply
static void ksn_multiply(const struct ksn_finish *f, const int8_t *a, const int8_t *b, const int32_t *table, int8_t *y,
                         uint32_t n, uint32_t step_a, uint32_t step_b)
{
    uint32_t i;
    for (i = 0; i < n; i++, a += step_a, b += step_b) {
        y[i] = ksn_finished(f, table, (int64_t)((*a - f->x) * (*b - f->other)) * f->a);
    }
}
//! ksn_gate
/* A factor for each channel. */
static void ksn_gate(const struct ksn_finish *f, const int8_t *x, const int8_t *factors, const int32_t *table, int8_t *y,
                     uint32_t positions, uint32_t channels)
{
    uint32_t at, i;
    for (at = 0; at < positions; at++, x += channels, y += channels) {
        for (i = 0; i < channels; i++) {
            y[i] = ksn_finished(f, table, (int64_t)((x[i] - f->x) * (factors[i] - f->other)) * f->a);
        }
    }
}
//! ksn_gate_positions
/* A factor for each position. */
static void ksn_gate_positions(const struct ksn_finish *f, const int8_t *x, const int8_t *factors, const int32_t *table,
                               int8_t *y, uint32_t positions, uint32_t channels)
{
    uint32_t at, i;
    for (at = 0; at < positions; at++, x += channels, y += channels) {
        for (i = 0; i < channels; i++) {
            y[i] = ksn_finished(f, table, (int64_t)((x[i] - f->x) * (factors[at] - f->other)) * f->a);
        }
    }
}
//! ksn_avg_pool
static void ksn_avg_pool(const struct ksn_pool *s, const struct ksn_finish *f, const int8_t *x, int8_t *y)
{
    int32_t row, column, iy, ix, i;
    for (row = 0; row < s->rows; row++) {
        for (column = 0; column < s->columns; column++) {
            const int32_t y0 = row * s->stride_y - s->top, x0 = column * s->stride_x - s->left;
            const int32_t y1 = y0 + s->kernel_height, x1 = x0 + s->kernel_width;
            for (i = 0; i < s->channels; i++) {
                int32_t sum = 0;
                for (iy = y0 > 0 ? y0 : 0; iy < y1 && iy < s->height; iy++) {
                    for (ix = x0 > 0 ? x0 : 0; ix < x1 && ix < s->width; ix++) {
                        sum += x[(iy * s->width + ix) * s->channels + i] - f->x;
                    }
                }
                *y++ = ksn_finished(f, 0, (int64_t)sum * f->a);
            }
        }
    }
}
//! ksn_max_pool
static void ksn_max_pool(const struct ksn_pool *s, const int8_t *x, int8_t *y)
{
    int32_t row, column, iy, ix, i;
    for (row = 0; row < s->rows; row++) {
        for (column = 0; column < s->columns; column++) {
            const int32_t y0 = row * s->stride_y - s->top, x0 = column * s->stride_x - s->left;
            const int32_t y1 = y0 + s->kernel_height, x1 = x0 + s->kernel_width;
            for (i = 0; i < s->channels; i++) {
                int8_t most = -128;
                for (iy = y0 > 0 ? y0 : 0; iy < y1 && iy < s->height; iy++) {
                    for (ix = x0 > 0 ? x0 : 0; ix < x1 && ix < s->width; ix++) {
                        const int8_t v = x[(iy * s->width + ix) * s->channels + i];
                        most = v > most ? v : most;
                    }
                }
                *y++ = most;
            }
        }
    }
}
//! ksn_move
static void ksn_move(const struct ksn_move *s, const struct ksn_finish *f, const int8_t *x, int8_t *y)
{
    uint32_t i, j, k;
    for (i = 0; i < s->count[0]; i++) {
        for (j = 0; j < s->count[1]; j++) {
            const int8_t *p = x + s->from[0] + i * s->from[1] + j * s->from[2];
            int8_t *q = y + s->to[0] + i * s->to[1] + j * s->to[2];
            for (k = 0; k < s->count[2]; k++) {
                q[k * s->to[3]] = ksn_finished(f, 0, (int64_t)(p[k * s->from[3]] - f->x) * f->a);
            }
        }
    }
}
//! ksn_write
static void ksn_write(const int8_t *x, int8_t *y, uint32_t at, uint32_t n, uint32_t step)
{
    uint32_t i;
    for (i = 0; i < n; i++) {
        y[at + i * step] = x[i];
    }
}
//! ksn_zero
static void ksn_zero(int8_t *y, uint32_t n, int32_t zero)
{
    uint32_t i;
    for (i = 0; i < n; i++) {
        y[i] = (int8_t)zero;
    }
}
