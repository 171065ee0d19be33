/* Runs a network on samples and compares its outputs with those that `ksn quantize` wrote: bits of integers, in single
 * precision within 1e-5 of the largest output. */
#include SAMPLES_FILE
#include NET_FILE

#include <stdio.h>

#define PASTE(a, b) a##b
#define RUN_OF(net) PASTE(net, _run)
#define OUTPUTS (sizeof(sample_outputs[0]) / sizeof(sample_outputs[0][0]))

#ifdef INTEGER
typedef int8_t element;
#define INPUTS sample_integer_inputs
#else
typedef float element;
#define INPUTS sample_inputs
#endif

static int differs(const element *found, unsigned sample)
{
    unsigned i;
#ifdef INTEGER
    for (i = 0; i < OUTPUTS; i++) {
        if (found[i] != sample_integer_outputs[sample][i]) {
            return 1;
        }
    }
#else
    float most = 0;
    for (i = 0; i < OUTPUTS; i++) {
        const float v = sample_outputs[sample][i];
        most = v > most ? v : -v > most ? -v : most;
    }
    for (i = 0; i < OUTPUTS; i++) {
        const float d = found[i] - sample_outputs[sample][i];
        if (!(d <= 1e-5f * most && -d <= 1e-5f * most)) {
            return 1;
        }
    }
#endif
    return 0;
}

int main(void)
{
    static element output[OUTPUTS];
    unsigned sample, i, right = 0, different = 0;
    for (sample = 0; sample < SAMPLES; sample++) {
        unsigned best = 0;
        RUN_OF(NET)(INPUTS[sample], output);
        for (i = 1; i < OUTPUTS; i++) {
            best = output[i] > output[best] ? i : best;
        }
        right += best == sample_labels[sample];
        different += (unsigned)differs(output, sample);
    }
    /* So that unused samples are no warning. */
    (void)sample_outputs, (void)sample_integer_outputs, (void)sample_inputs, (void)sample_integer_inputs;
    printf("%u of %u right, %u differ\n", right, (unsigned)SAMPLES, different);
    return different != 0;
}
