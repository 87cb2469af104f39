/* numbers MODEL.trit < NUMBERS: the most probable class of one normalized input [H][W][C], float32.
 * A program that reads no pictures links with libtrit_infer, -lm and nothing else. */
#include <stdio.h>
#include <stdlib.h>

#include "trit/infer.h"

int main(int argc, char **argv) {
    trit_model *model = NULL;
    trit_runner *runner = NULL;
    trit_guess best;
    if (argc != 2) return fprintf(stderr, "usage: numbers MODEL.trit < NUMBERS\n"), 2;
    if (trit_init() || trit_model_open(argv[1], &model) || trit_runner_new(model, NULL, &runner))
        return fprintf(stderr, "numbers: %s\n", trit_last_error()), 1;
    const trit_graph *g = trit_model_graph(model);
    const size_t n = (size_t)(g->C * g->H * g->W);
    float *x = malloc((n + (size_t)g->classes) * sizeof *x), *y = x + n;
    bool ok = x && fread(x, sizeof *x, n, stdin) == n;
    if (!ok) fprintf(stderr, "numbers: the model takes %zu numbers\n", n);
    if (ok && (ok = trit_runner_run(runner, 1, x, y) == TRIT_OK)) {
        trit_guess_top(model, y, 1, &best);
        printf("%s %.6f\n", best.name, (double)best.probability);
    }
    free(x);
    trit_runner_close(runner);
    trit_model_close(model);
    return ok ? 0 : 1;
}
