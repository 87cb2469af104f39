/* classify MODEL.trit PHOTO.jpg: the five most probable classes.  All a C program needs of trit. */
#include <stdio.h>

#include "trit/infer.h"

int main(int argc, char **argv) {
    trit_model *model = NULL;
    trit_runner *runner = NULL;
    trit_guess top[5];
    if (argc != 3) return fprintf(stderr, "usage: classify MODEL.trit PHOTO.jpg\n"), 2;
    bool ok = trit_init() == TRIT_OK && trit_model_open(argv[1], &model) == TRIT_OK &&
              trit_runner_new(model, NULL, &runner) == TRIT_OK &&
              trit_classify_file(runner, argv[2], 5, top) == TRIT_OK;
    for (int i = 0; ok && i < 5; i++)
        printf("%5.1f %%  %s\n", 100 * (double)top[i].probability, top[i].name);
    if (!ok) fprintf(stderr, "classify: %s\n", trit_last_error());
    trit_runner_close(runner);
    trit_model_close(model);
    return ok ? 0 : 1;
}
