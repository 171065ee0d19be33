//! struct ksn_conv 32
/* Sizes of a convolution; a linear layer is one of a row of positions. */
struct ksn_conv {
    uint16_t height, width, channels, rows, columns, outputs, kernel_height, kernel_width;
    uint16_t stride_y, stride_x, top, left, dilation_y, dilation_x, groups;
};
//! struct ksn_pool 24
/* Sizes of pooling. */
struct ksn_pool {
    uint16_t height, width, channels, rows, columns, kernel_height, kernel_width;
    uint16_t stride_y, stride_x, top, left, counted_y, counted_x;
};
//! struct ksn_move 44
/* A copy in three nested loops: the first place, and how far each loop moves on. */
struct ksn_move {
    uint32_t count[3], from[4], to[4];
};
//! ksn_conv
/* A convolution: kernel [output][row][column][input], factors and additions for each output if there are any. */
static void ksn_conv(const struct ksn_conv *s, const float *x, const float *w, const float *scale,
                     const float *shift, float *y)
{
    const int32_t in = (int32_t)s->channels / s->groups, out = (int32_t)s->outputs / s->groups;
    int32_t row, column, output, ky, kx, i;
    for (row = 0; row < s->rows; row++) {
        for (column = 0; column < s->columns; column++) {
            const float *k = w;
            for (output = 0; output < s->outputs; output++) {
                const float *first = x + output / out * in;
                float sum = 0;
                for (ky = 0; ky < s->kernel_height; ky++) {
                    const int32_t iy = row * s->stride_y + ky * s->dilation_y - s->top;
                    for (kx = 0; kx < s->kernel_width; kx++, k += in) {
                        const int32_t ix = column * s->stride_x + kx * s->dilation_x - s->left;
                        if (iy >= 0 && iy < s->height && ix >= 0 && ix < s->width) {
                            const float *p = first + (iy * s->width + ix) * s->channels;
                            for (i = 0; i < in; i++) {
                                sum += p[i] * k[i];
                            }
                        }
                    }
                }
                if (scale) {
                    sum *= scale[output];
                }
                *y++ = shift ? sum + shift[output] : sum;
            }
        }
    }
}
//! ksn_depthwise
/* A convolution of each channel with its own kernel, [row][column][channel], or of the first of them. */
static void ksn_depthwise(const struct ksn_conv *s, const float *x, const float *w, const float *scale,
                          const float *shift, float *y)
{
    int32_t row, column, ky, kx, i;
    for (row = 0; row < s->rows; row++) {
        for (column = 0; column < s->columns; column++, y += s->outputs) {
            const float *k = w;
            for (i = 0; i < s->outputs; i++) {
                y[i] = 0;
            }
            for (ky = 0; ky < s->kernel_height; ky++) {
                const int32_t iy = row * s->stride_y + ky * s->dilation_y - s->top;
                for (kx = 0; kx < s->kernel_width; kx++, k += s->channels) {
                    const int32_t ix = column * s->stride_x + kx * s->dilation_x - s->left;
                    if (iy >= 0 && iy < s->height && ix >= 0 && ix < s->width) {
                        const float *p = x + (iy * s->width + ix) * s->channels;
                        for (i = 0; i < s->outputs; i++) {
                            y[i] += p[i] * k[i];
                        }
                    }
                }
            }
            for (i = 0; i < s->outputs; i++) {
                const float sum = scale ? y[i] * scale[i] : y[i];
                y[i] = shift ? sum + shift[i] : sum;
            }
        }
    }
}
//! ksn_affine
/* A factor and an addition for each channel. */
static void ksn_affine(const float *x, const float *scale, const float *shift, float *y, uint32_t positions,
                       uint32_t channels)
{
    uint32_t at, i;
    for (at = 0; at < positions; at++, x += channels, y += channels) {
        for (i = 0; i < channels; i++) {
            const float v = scale ? x[i] * scale[i] : x[i];
            y[i] = shift ? v + shift[i] : v;
        }
    }
}
//! ksn_prelu
/* A slope below 0 for each channel. */
static void ksn_prelu(const float *x, const float *slopes, float *y, uint32_t positions, uint32_t channels)
{
    uint32_t at, i;
    for (at = 0; at < positions; at++, x += channels, y += channels) {
        for (i = 0; i < channels; i++) {
            y[i] = x[i] > 0 ? x[i] : x[i] * slopes[i];
        }
    }
}
//! ksn_add
static void ksn_add(const float *a, const float *b, float *y, uint32_t n, uint32_t step_a, uint32_t step_b)
{
    uint32_t i;
    for (i = 0; i < n; i++, a += step_a, b += step_b) {
        y[i] = *a + *b;
    }
}
//! ksn_subtract
static void ksn_subtract(const float *a, const float *b, float *y, uint32_t n, uint32_t step_a, uint32_t step_b)
{
    uint32_t i;
    for (i = 0; i < n; i++, a += step_a, b += step_b) {
        y[i] = *a - *b;
    }
}
//! ksn_multiply
static void ksn_multiply(const float *a, const float *b, float *y, uint32_t n, uint32_t step_a, uint32_t step_b)
{
    uint32_t i;
    for (i = 0; i < n; i++, a += step_a, b += step_b) {
        y[i] = *a * *b;
    }
}
//! ksn_gate
/* A factor for each channel. */
static void ksn_gate(const float *x, const float *factors, float *y, uint32_t positions, uint32_t channels)
{
    uint32_t at, i;
    for (at = 0; at < positions; at++, x += channels, y += channels) {
        for (i = 0; i < channels; i++) {
            y[i] = x[i] * factors[i];
        }
    }
}
//! ksn_gate_positions
/* A factor for each position. */
static void ksn_gate_positions(const float *x, const float *factors, float *y, uint32_t positions, uint32_t channels)
{
    uint32_t at, i;
    for (at = 0; at < positions; at++, x += channels, y += channels) {
        for (i = 0; i < channels; i++) {
            y[i] = x[i] * factors[at];
        }
    }
}
//! ksn_avg_pool
static void ksn_avg_pool(const struct ksn_pool *s, const float *x, float *y)
{
    int32_t row, column, iy, ix, i;
    for (row = 0; row < s->rows; row++) {
        for (column = 0; column < s->columns; column++) {
            /* Rows and columns of the window; of those that count, zeros around the input have no values. */
            const int32_t y0 = row * s->stride_y - s->top, x0 = column * s->stride_x - s->left;
            const int32_t y1 = y0 + s->kernel_height, x1 = x0 + s->kernel_width;
            const int32_t below = s->height + s->counted_y, right = s->width + s->counted_x;
            const int32_t rows = (y1 < below ? y1 : below) - (y0 > -s->counted_y ? y0 : -s->counted_y);
            const int32_t columns = (x1 < right ? x1 : right) - (x0 > -s->counted_x ? x0 : -s->counted_x);
            for (i = 0; i < s->channels; i++) {
                float sum = 0;
                for (iy = y0 > 0 ? y0 : 0; iy < y1 && iy < s->height; iy++) {
                    for (ix = x0 > 0 ? x0 : 0; ix < x1 && ix < s->width; ix++) {
                        sum += x[(iy * s->width + ix) * s->channels + i];
                    }
                }
                *y++ = sum / (float)(rows * columns);
            }
        }
    }
}
//! ksn_max_pool
static void ksn_max_pool(const struct ksn_pool *s, const float *x, float *y)
{
    int32_t row, column, iy, ix, i;
    for (row = 0; row < s->rows; row++) {
        for (column = 0; column < s->columns; column++) {
            const int32_t y0 = row * s->stride_y - s->top, x0 = column * s->stride_x - s->left;
            const int32_t y1 = y0 + s->kernel_height, x1 = x0 + s->kernel_width;
            for (i = 0; i < s->channels; i++) {
                int32_t found = 0;
                float most = 0;
                for (iy = y0 > 0 ? y0 : 0; iy < y1 && iy < s->height; iy++) {
                    for (ix = x0 > 0 ? x0 : 0; ix < x1 && ix < s->width; ix++) {
                        const float v = x[(iy * s->width + ix) * s->channels + i];
                        if (!found || v > most) {
                            most = v;
                            found = 1;
                        }
                    }
                }
                *y++ = most;
            }
        }
    }
}
//! ksn_softmax math
/* Softmax of rows: their distance, then the count and the distance of a row's values. */
static void ksn_softmax(const float *x, float *y, uint32_t rows, uint32_t step, uint32_t n, uint32_t stride)
{
    uint32_t row, i;
    for (row = 0; row < rows; row++, x += step, y += step) {
        float most = x[0], sum = 0;
        for (i = 1; i < n; i++) {
            most = x[i * stride] > most ? x[i * stride] : most;
        }
        for (i = 0; i < n; i++) {
            y[i * stride] = expf(x[i * stride] - most);
            sum += y[i * stride];
        }
        for (i = 0; i < n; i++) {
            y[i * stride] /= sum;
        }
    }
}
//! ksn_log_softmax math
/* The logarithm of the softmax of rows: their distance, then the count and the distance of a row's values. */
static void ksn_log_softmax(const float *x, float *y, uint32_t rows, uint32_t step, uint32_t n, uint32_t stride)
{
    uint32_t row, i;
    for (row = 0; row < rows; row++, x += step, y += step) {
        float most = x[0], sum = 0;
        for (i = 1; i < n; i++) {
            most = x[i * stride] > most ? x[i * stride] : most;
        }
        for (i = 0; i < n; i++) {
            sum += expf(x[i * stride] - most);
        }
        for (i = 0; i < n; i++) {
            y[i * stride] = x[i * stride] - most - logf(sum);
        }
    }
}
//! ksn_layer_norm math
static void ksn_layer_norm(const float *x, const float *weight, const float *bias, float *y, uint32_t positions,
                           uint32_t channels, float eps)
{
    uint32_t at, i;
    for (at = 0; at < positions; at++, x += channels, y += channels) {
        float mean = 0, variance = 0, factor;
        for (i = 0; i < channels; i++) {
            mean += x[i];
        }
        mean /= (float)channels;
        for (i = 0; i < channels; i++) {
            variance += (x[i] - mean) * (x[i] - mean);
        }
        factor = 1 / sqrtf(variance / (float)channels + eps);
        for (i = 0; i < channels; i++) {
            y[i] = (x[i] - mean) * factor * (weight ? weight[i] : 1) + (bias ? bias[i] : 0);
        }
    }
}
//! ksn_rms_norm math
static void ksn_rms_norm(const float *x, const float *weight, float *y, uint32_t rows, uint32_t channels, float eps)
{
    uint32_t at, i;
    for (at = 0; at < rows; at++, x += channels, y += channels) {
        float squares = 0, factor;
        for (i = 0; i < channels; i++) {
            squares += x[i] * x[i];
        }
        factor = 1 / sqrtf(squares / (float)channels + eps);
        for (i = 0; i < channels; i++) {
            y[i] = x[i] * factor * (weight ? weight[i] : 1);
        }
    }
}
//! ksn_group_norm math
static void ksn_group_norm(const float *x, const float *weight, const float *bias, float *y, uint32_t positions,
                           uint32_t channels, uint32_t groups, float eps)
{
    const uint32_t own = channels / groups;
    uint32_t group, at, i;
    for (group = 0; group < groups; group++) {
        float mean = 0, variance = 0, factor;
        for (at = 0; at < positions; at++) {
            for (i = group * own; i < (group + 1) * own; i++) {
                mean += x[at * channels + i];
            }
        }
        mean /= (float)(positions * own);
        for (at = 0; at < positions; at++) {
            for (i = group * own; i < (group + 1) * own; i++) {
                const float v = x[at * channels + i] - mean;
                variance += v * v;
            }
        }
        factor = 1 / sqrtf(variance / (float)(positions * own) + eps);
        for (at = 0; at < positions; at++) {
            for (i = group * own; i < (group + 1) * own; i++) {
                const float v = (x[at * channels + i] - mean) * factor;
                y[at * channels + i] = weight ? v * weight[i] + bias[i] : v;
            }
        }
    }
}
//! ksn_attend math
/* Attention of each query to the keys, which it meets one after the other: sums are rescaled whenever a score is larger
 * than all before it. */
static void ksn_attend(const float *q, const float *k, const float *v, float *y, uint32_t queries, uint32_t keys,
                       uint32_t heads, uint32_t key_heads, uint32_t width, uint32_t causal, float scale)
{
    uint32_t query, head, key, i;
    for (query = 0; query < queries; query++) {
        const uint32_t seen = causal && query + 1 < keys ? query + 1 : keys;
        for (head = 0; head < heads; head++, q += width, y += width) {
            const uint32_t first = head / (heads / key_heads) * width;
            float most = 0, sum = 0;
            for (key = 0; key < seen; key++) {
                const float *of_key = k + key * key_heads * width + first;
                const float *of_value = v + key * key_heads * width + first;
                float score = 0, share, old;
                for (i = 0; i < width; i++) {
                    score += q[i] * of_key[i];
                }
                score *= scale;
                old = key == 0 ? 0 : score > most ? expf(most - score) : 1;
                most = key == 0 || score > most ? score : most;
                share = expf(score - most);
                sum = sum * old + share;
                for (i = 0; i < width; i++) {
                    y[i] = (key == 0 ? 0 : y[i] * old) + share * of_value[i];
                }
            }
            for (i = 0; i < width; i++) {
                y[i] /= sum;
            }
        }
    }
}
//! ksn_move
static void ksn_move(const struct ksn_move *s, const float *x, float *y)
{
    uint32_t i, j, k;
    for (i = 0; i < s->count[0]; i++) {
        for (j = 0; j < s->count[1]; j++) {
            const float *p = x + s->from[0] + i * s->from[1] + j * s->from[2];
            float *q = y + s->to[0] + i * s->to[1] + j * s->to[2];
            for (k = 0; k < s->count[2]; k++) {
                q[k * s->to[3]] = p[k * s->from[3]];
            }
        }
    }
}
//! ksn_write
static void ksn_write(const float *x, float *y, uint32_t at, uint32_t n, uint32_t step)
{
    uint32_t i;
    for (i = 0; i < n; i++) {
        y[at + i * step] = x[i];
    }
}
//! ksn_zero
static void ksn_zero(float *y, uint32_t n)
{
    uint32_t i;
    for (i = 0; i < n; i++) {
        y[i] = 0;
    }
}
