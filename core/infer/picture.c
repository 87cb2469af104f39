/*
 * picture.c - from a JPEG or PNG file to the input of a model, and from its scores to names.
 *
 * The same steps as the test images of a data set: shorter side to `resize`, centre cut out,
 * (pixel / 255 - mean) / std.
 */
#include <stdlib.h>

#include "data/augment.h"
#include "infer/runner.h"

static trit_status cut(const trit_graph *g, const trit_image *image, float *x) {
    float lut[3][256];
    for (int c = 0; c < 3; c++)
        for (int v = 0; v < 256; v++)
            lut[c][v] = (float)((v / 255.0 - (double)g->mean[c]) / (double)g->std[c]);
    trit_view view = {.target_h = (int)g->H, .target_w = (int)g->W};
    trit_view_start(&view, image, image->h, image->w);
    trit_status status = TRIT_OK;
    if (image->h != view.target_h || image->w != view.target_w)
        status = trit_view_fit(&view, (int)g->resize);
    if (status == TRIT_OK) status = trit_view_apply(&view, NULL, 0, 0, 0);
    if (status == TRIT_OK) trit_view_write(&view, (const float(*)[256])lut, x);
    trit_view_close(&view);
    return status;
}

trit_status trit_model_picture(const trit_model *m, const char *path, float *x) {
    const trit_graph *g = trit_model_graph(m);
    if (g->C != 3)
        return trit_fail(TRIT_ERR_UNSUPPORTED,
                         "%s: the model takes images of %lld channels, pictures have 3", path,
                         (long long)g->C);
    trit_reader reader = {0};
    trit_image image = {0};
    trit_status status = trit_image_load(&reader, path, &image);
    if (status == TRIT_OK) status = cut(g, &image, x);
    trit_image_free(&image);
    trit_reader_close(&reader);
    return status;
}

trit_status trit_classify_file(trit_runner *r, const char *path, int k, trit_guess *top) {
    const trit_graph *g = r->graph;
    if (k < 1 || k > g->classes)
        return trit_fail(TRIT_ERR_ARG, "%d guesses wanted of a model with %lld classes", k,
                         (long long)g->classes);
    const size_t in = (size_t)(g->C * g->H * g->W), n = in + (size_t)g->classes;
    float *x = malloc(n * sizeof *x);
    if (!x) return trit_fail(TRIT_ERR_MEM, "%s: out of memory", path);
    trit_status status = trit_model_picture(r->model, path, x);
    if (status == TRIT_OK) status = trit_runner_run(r, 1, x, x + in);
    if (status == TRIT_OK) trit_guess_top(r->model, x + in, k, top);
    free(x);
    return status;
}
