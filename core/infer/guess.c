/*
 * guess.c - from a model's scores to names.  By itself, so that a program without pictures links
 * without the libraries that read them.
 */
#include <math.h>

#include "infer/format.h"

void trit_guess_top(const trit_model *m, const float *logits, int k, trit_guess *top) {
    const trit_graph *g = trit_model_graph(m);
    double most = -INFINITY, sum = 0;
    for (int64_t c = 0; c < g->classes; c++) most = fmax(most, (double)logits[c]);
    for (int64_t c = 0; c < g->classes; c++) sum += exp((double)logits[c] - most);
    for (int i = 0; i < k; i++) {
        int64_t best = -1; /* the greatest that stands behind the one before it */
        for (int64_t c = 0; c < g->classes; c++) {
            const bool taken =
                i > 0 && (logits[c] > logits[top[i - 1].class] ||
                          (logits[c] == logits[top[i - 1].class] && c <= top[i - 1].class));
            if (!taken && (best < 0 || logits[c] > logits[best])) best = c;
        }
        if (best < 0) best = 0; /* more asked for than there are, or NaN */
        top[i] = (trit_guess){best, g->class_names[best],
                              (float)(exp((double)logits[best] - most) / sum)};
    }
}
