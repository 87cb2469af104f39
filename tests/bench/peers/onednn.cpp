/*
 * onednn.cpp - oneDNN as a peer of `trit bench infer` and `trit bench linear`: one timed pass per line
 * read, its seconds as the answer.  Never needed to build or to test trit.
 *
 *     apt-get install g++ libdnnl-dev
 *     g++ -O3 -march=native -fopenmp -o onednn tests/bench/peers/onednn.cpp -ldnnl
 *     ./trit bench infer --threads 1 --peer "./onednn --model resnet18 --mode int8 --threads 1"
 *     ./trit bench linear --threads 1 --peer "./onednn --linear 4096,4096,1 --mode int8 --threads 1"
 *     ./onednn --model resnet18 --mode int8 --layers          a table of every layer
 *     ONEDNN_MAX_CPU_ISA=AVX2 ./onednn ...                    another instruction set
 *
 * By itself oneDNN takes the best there is, tiles of AMX included, where trit goes as far as AVX-512 with
 * VNNI: ONEDNN_MAX_CPU_ISA=AVX512_CORE_VNNI is the same instruction set.
 *
 * Whole networks, batch norm folded, in the layouts oneDNN asks for: unsigned bytes between layers and
 * signed ones as weights (int8), ReLU and residual sum inside the convolutions, pooling on bytes.  The
 * image is not negative, so no zero point is needed; ResNet-20 has 1x1 projections where trit
 * has type-A shortcuts.  The residual in the first line is the largest difference of the scores from plain
 * float loops, relative to the largest score.
 */
#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <iostream>
#include <random>
#include <string>
#include <unordered_map>
#include <vector>

#include <dnnl.hpp>
#include <omp.h>

using namespace dnnl;
using type = memory::data_type;
using tag = memory::format_tag;
using arguments = std::unordered_map<int, memory>;

static double now() {
    return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch())
        .count();
}

/* ------------------------------------------------------------------ networks */

enum kind { INPUT, CONV, MAX_POOL, AVG_POOL, LINEAR };

/* Value i is made by node i; node 0 is the image. */
struct node {
    kind what = INPUT;
    std::string name;
    int a = -1, b = -1; /* values read and added, -1: none */
    long K = 0, R = 1, stride = 1, pad = 0;
    bool relu = false;
    long C = 0, H = 0, W = 0, P = 0, Q = 0;
    std::vector<int8_t> codes; /* [K][R][R][C] of -1, 0, 1 */
    std::vector<float> scale, bias;
    float most = 0; /* largest |result|, from the plain loops */
    double macs() const { return codes.empty() ? 0 : double(K) * R * R * C * P * Q; }
};

struct network {
    std::vector<node> nodes;
    std::mt19937 random{1};

    int add(kind what, std::string name, int a, int b, long K, long R, long stride, long pad,
            bool relu) {
        node n;
        n.what = what;
        n.name = name;
        n.a = a;
        n.b = b;
        n.K = K;
        n.R = R;
        n.stride = stride;
        n.pad = pad;
        n.relu = relu;
        const node &from = nodes[a];
        n.C = from.K;
        n.H = from.P;
        n.W = from.Q;
        if (what == MAX_POOL || what == AVG_POOL) n.K = n.C;
        n.P = (n.H + 2 * pad - R) / stride + 1;
        n.Q = (n.W + 2 * pad - R) / stride + 1;
        if (what == CONV || what == LINEAR) {
            std::uniform_real_distribution<float> unit(0, 1);
            n.codes.resize(size_t(n.K) * R * R * n.C);
            for (auto &c : n.codes) {
                const float u = unit(random);
                c = u < 0.3f ? -1 : u < 0.7f ? 0 : 1;
            }
            for (long k = 0; k < n.K; k++) {
                n.scale.push_back((0.8f + 0.4f * unit(random)) /
                                  std::sqrt(0.6f * float(R * R * n.C)));
                n.bias.push_back(0.2f * unit(random) - 0.1f);
            }
        }
        nodes.push_back(n);
        return int(nodes.size()) - 1;
    }
};

static network make_network(const std::string &model) {
    const bool cifar = model == "resnet20";
    const long side = cifar ? 32 : 224;
    network net;
    node image;
    image.name = "image";
    image.K = 3;
    image.P = image.Q = side;
    net.nodes.push_back(image);
    const std::vector<long> widths =
        cifar ? std::vector<long>{16, 32, 64} : std::vector<long>{64, 128, 256, 512};
    int x =
        net.add(CONV, "conv1", 0, -1, widths[0], cifar ? 3 : 7, cifar ? 1 : 2, cifar ? 1 : 3, true);
    if (!cifar) x = net.add(MAX_POOL, "maxpool", x, -1, 0, 3, 2, 1, false);
    for (size_t s = 0; s < widths.size(); s++)
        for (int i = 0; i < (cifar ? 3 : 2); i++) {
            const std::string name = "layer" + std::to_string(s + 1) + "." + std::to_string(i);
            const long K = widths[s], stride = s > 0 && i == 0 ? 2 : 1;
            int skip = x;
            if (stride != 1) skip = net.add(CONV, name + ".downsample", x, -1, K, 1, 2, 0, false);
            const int y = net.add(CONV, name + ".conv1", x, -1, K, 3, stride, 1, true);
            x = net.add(CONV, name + ".conv2", y, skip, K, 3, 1, 1, true);
        }
    x = net.add(AVG_POOL, "avgpool", x, -1, 0, net.nodes[x].P, 1, 0, false);
    net.add(LINEAR, "fc", x, -1, cifar ? 10 : 1000, 1, 1, 0, false);
    return net;
}

/* One image through plain loops: the values, channels last.  Fills `most` of every node. */
static std::vector<float> plain(network &net, const float *image) {
    std::vector<std::vector<float>> value(net.nodes.size());
    for (size_t i = 0; i < net.nodes.size(); i++) {
        node &n = net.nodes[i];
        std::vector<float> &y = value[i];
        y.resize(size_t(n.P) * n.Q * n.K);
        if (n.what == INPUT) std::copy(image, image + y.size(), y.begin());
        std::vector<float> turned(n.codes.size()); /* [R][R][C][K] */
        const long taps = n.R * n.R * n.C;
        for (long k = 0; k < n.K && taps && !n.codes.empty(); k++)
            for (long t = 0; t < taps; t++) turned[t * n.K + k] = float(n.codes[k * taps + t]);
        for (long p = 0; p < n.P && n.what != INPUT; p++)
            for (long q = 0; q < n.Q; q++) {
                float *to = &y[(p * n.Q + q) * n.K];
                const float *x = value[n.a].data();
                if (n.what == MAX_POOL) std::fill(to, to + n.K, -INFINITY);
                for (long r = 0; r < n.R; r++)
                    for (long s = 0; s < n.R; s++) {
                        const long h = p * n.stride - n.pad + r, w = q * n.stride - n.pad + s;
                        if (h < 0 || h >= n.H || w < 0 || w >= n.W) continue;
                        const float *from = x + (h * n.W + w) * n.C;
                        const float *weight = turned.data() + (r * n.R + s) * n.C * n.K;
                        if (n.what == MAX_POOL)
                            for (long k = 0; k < n.K; k++) to[k] = std::max(to[k], from[k]);
                        else if (n.what == AVG_POOL)
                            for (long k = 0; k < n.K; k++) to[k] += from[k] / float(n.R * n.R);
                        else
                            for (long c = 0; c < n.C; c++)
                                for (long k = 0; k < n.K; k++)
                                    to[k] += from[c] * weight[c * n.K + k];
                    }
                for (long k = 0; k < n.K && !n.codes.empty(); k++) {
                    to[k] = to[k] * n.scale[k] + n.bias[k];
                    if (n.b >= 0) to[k] += value[n.b][(p * n.Q + q) * n.K + k];
                    if (n.relu) to[k] = std::max(to[k], 0.0f);
                }
            }
        n.most = 0;
        for (float v : y) n.most = std::max(n.most, std::fabs(v));
    }
    return value.back();
}

/* ----------------------------------------------------------------- on oneDNN */

struct step {
    int of; /* node */
    primitive run;
    arguments with;
};

struct session {
    engine cpu{engine::kind::cpu, 0};
    stream work{cpu};
    bool bytes;
    long batch;
    network &net;
    std::vector<memory> value;
    std::vector<float> unit; /* a value's step: what one unit of a byte stands for */
    std::vector<step> steps;
    std::vector<float> x, y;

    session(network &n, bool int8, long images) : bytes(int8), batch(images), net(n) {
        const node &in = net.nodes[0];
        x.resize(size_t(batch) * in.P * in.Q * in.K);
        std::mt19937 random(2);
        std::uniform_real_distribution<float> zero_to_one(0, 1);
        for (auto &v : x) v = zero_to_one(random);
        y.resize(size_t(batch) * net.nodes.back().K);
    }

    memory filled(const memory::desc &plain_desc, void *data, const memory::desc &wanted) {
        memory from(plain_desc, cpu, data), to(wanted, cpu);
        reorder(from, to).execute(work, from, to);
        work.wait();
        return to;
    }

    /* Value v in the layout of `wanted`. */
    memory arranged(int v, const memory::desc &wanted, int of) {
        if (value[v].get_desc() == wanted) return value[v];
        primitive_attr attr;
        if (bytes && v == 0) attr.set_output_scales(0, {1 / unit[0]});
        memory to(wanted, cpu);
        steps.push_back(
            {of, reorder(value[v], to, attr), {{DNNL_ARG_FROM, value[v]}, {DNNL_ARG_TO, to}}});
        if (v == 0) value[0] = to;
        return to;
    }

    /* Scales, bias, sum and ReLU of a layer whose result counts in steps of `out`. */
    primitive_attr attributes(const node &n, float out, std::vector<float> &bias) {
        primitive_attr attr;
        post_ops after;
        bias = n.bias;
        if (bytes) {
            std::vector<float> scales(n.K);
            for (long k = 0; k < n.K; k++) {
                scales[k] = n.scale[k] * unit[n.a] / out;
                bias[k] = n.bias[k] / (n.scale[k] * unit[n.a]); /* scaled with the sum */
            }
            attr.set_output_scales(2, scales);
        }
        if (n.b >= 0) {
            const bool is_signed = bytes && !net.nodes[n.b].relu && net.nodes[n.b].what == CONV;
            after.append_sum(bytes ? unit[n.b] / out : 1.0f, 0,
                             is_signed ? type::s8
                             : bytes   ? type::u8
                                       : type::f32);
        }
        if (n.relu) after.append_eltwise(1.0f, algorithm::eltwise_relu, 0, 0);
        attr.set_post_ops(after);
        return attr;
    }

    memory weights(const node &n, const memory::desc &wanted, bool linear) {
        const memory::dims dims =
            linear ? memory::dims{n.K, n.C} : memory::dims{n.K, n.C, n.R, n.R};
        const tag layout = linear ? tag::oi : tag::ohwi;
        if (bytes) return filled({dims, type::s8, layout}, (void *)n.codes.data(), wanted);
        std::vector<float> w(n.codes.size());
        for (size_t i = 0; i < w.size(); i++)
            w[i] = float(n.codes[i]) * n.scale[i / (w.size() / n.K)];
        return filled({dims, type::f32, layout}, w.data(), wanted);
    }

    void add_convolution(int i) {
        const node &n = net.nodes[i];
        const bool is_signed = bytes && !n.relu;
        const type t = bytes ? type::u8 : type::f32, result = is_signed ? type::s8 : t;
        unit[i] = n.most / (is_signed ? 127.0f : 255.0f);
        const memory::dims from{batch, n.C, n.H, n.W}, to{batch, n.K, n.P, n.Q};
        memory::desc dst(to, result, tag::any);
        if (n.b >= 0) { /* the sum replaces what is added, in its layout */
            dst = value[n.b].get_desc();
            if (bytes) dst.data.data_type = dnnl_u8;
        }
        std::vector<float> bias;
        const primitive_attr attr = attributes(n, unit[i], bias);
        const convolution_forward::desc d(
            prop_kind::forward_inference, algorithm::convolution_direct, {from, t, tag::any},
            {{n.K, n.C, n.R, n.R}, bytes ? type::s8 : type::f32, tag::any},
            {{n.K}, type::f32, tag::x}, dst, {n.stride, n.stride}, {n.pad, n.pad}, {n.pad, n.pad});
        const convolution_forward::primitive_desc pd(d, attr, cpu);
        value[i] = n.b >= 0 ? memory(pd.dst_desc(), cpu, value[n.b].get_data_handle())
                            : memory(pd.dst_desc(), cpu);
        const memory in = arranged(n.a, pd.src_desc(), i), w = weights(n, pd.weights_desc(), false);
        const memory b = filled({{n.K}, type::f32, tag::x}, bias.data(), pd.bias_desc());
        steps.push_back({i,
                         convolution_forward(pd),
                         {{DNNL_ARG_SRC, in},
                          {DNNL_ARG_WEIGHTS, w},
                          {DNNL_ARG_BIAS, b},
                          {DNNL_ARG_DST, value[i]}}});
    }

    void add_pool(int i) {
        const node &n = net.nodes[i];
        const pooling_forward::desc d(
            prop_kind::forward_inference,
            n.what == MAX_POOL ? algorithm::pooling_max : algorithm::pooling_avg_exclude_padding,
            value[n.a].get_desc(), {{batch, n.K, n.P, n.Q}, bytes ? type::u8 : type::f32, tag::any},
            {n.stride, n.stride}, {n.R, n.R}, {n.pad, n.pad}, {n.pad, n.pad});
        const pooling_forward::primitive_desc pd(d, cpu);
        unit[i] = unit[n.a];
        value[i] = memory(pd.dst_desc(), cpu);
        steps.push_back(
            {i, pooling_forward(pd), {{DNNL_ARG_SRC, value[n.a]}, {DNNL_ARG_DST, value[i]}}});
    }

    void add_linear(int i) {
        const node &n = net.nodes[i];
        std::vector<float> bias;
        const primitive_attr attr = attributes(n, 1.0f, bias);
        const inner_product_forward::desc d(
            prop_kind::forward_inference, {{batch, n.C}, bytes ? type::u8 : type::f32, tag::nc},
            {{n.K, n.C}, bytes ? type::s8 : type::f32, tag::any}, {{n.K}, type::f32, tag::x},
            {{batch, n.K}, type::f32, tag::nc});
        const inner_product_forward::primitive_desc pd(d, attr, cpu);
        memory flat =
            arranged(n.a, {{batch, n.C, 1, 1}, bytes ? type::u8 : type::f32, tag::nhwc}, i);
        const memory in(pd.src_desc(), cpu, flat.get_data_handle());
        const memory w = weights(n, pd.weights_desc(), true);
        const memory b = filled({{n.K}, type::f32, tag::x}, bias.data(), pd.bias_desc());
        value[i] = memory(pd.dst_desc(), cpu, y.data());
        steps.push_back({i,
                         inner_product_forward(pd),
                         {{DNNL_ARG_SRC, in},
                          {DNNL_ARG_WEIGHTS, w},
                          {DNNL_ARG_BIAS, b},
                          {DNNL_ARG_DST, value[i]}}});
        keep.push_back(flat);
    }

    std::vector<memory> keep;

    /* `most` of every node is known. */
    void build() {
        const node &in = net.nodes[0];
        value.resize(net.nodes.size());
        unit.resize(net.nodes.size());
        unit[0] = 1.0f / 255;
        value[0] = memory({{batch, in.K, in.P, in.Q}, type::f32, tag::nhwc}, cpu, x.data());
        for (int i = 1; i < int(net.nodes.size()); i++) switch (net.nodes[i].what) {
            case CONV: add_convolution(i); break;
            case LINEAR: add_linear(i); break;
            default: add_pool(i);
            }
    }

    void run() {
        for (auto &s : steps) s.run.execute(work, s.with);
        work.wait();
    }
};

static void print_layers(session &s) {
    const int times = 40;
    std::vector<std::vector<double>> seconds(s.net.nodes.size());
    for (int t = 0; t < times; t++) {
        std::vector<double> of(s.net.nodes.size());
        for (auto &p : s.steps) {
            const double began = now();
            p.run.execute(s.work, p.with);
            s.work.wait();
            of[p.of] += now() - began;
        }
        for (size_t i = 0; i < of.size(); i++) seconds[i].push_back(of[i]);
    }
    double total = 0;
    for (size_t i = 1; i < seconds.size(); i++) {
        const node &n = s.net.nodes[i];
        std::sort(seconds[i].begin(), seconds[i].end());
        const double t = seconds[i][times / 2];
        total += t;
        printf("%-22s %3ldx%-3ld %4ld>%-4ld %9.1f us %7.1f GMAC/s\n", n.name.c_str(), n.H, n.W, n.C,
               n.K, t * 1e6, n.macs() * double(s.batch) / t * 1e-9);
    }
    printf("%-22s %25.1f us\n", "together", total * 1e6);
}

/* ------------------------------------------------------------ a linear layer */

/* y [N][M] = W x: float32, or signed bytes whose activations are rounded in every call. */
struct linear {
    engine cpu{engine::kind::cpu, 0};
    stream work{cpu};
    bool bytes;
    long M, K, N;
    std::vector<int8_t> codes, q;
    std::vector<float> x, y;
    inner_product_forward product;
    arguments with;
    float step = 1;

    linear(long rows, long columns, long vectors, bool int8)
        : bytes(int8), M(rows), K(columns), N(vectors), codes(size_t(M) * K), q(size_t(N) * K),
          x(size_t(N) * K), y(size_t(N) * M) {
        std::mt19937 random(1);
        std::uniform_real_distribution<float> unit(0, 1);
        std::normal_distribution<float> normal;
        for (auto &c : codes) {
            const float u = unit(random);
            c = u < 0.3f ? -1 : u < 0.7f ? 0 : 1;
        }
        for (auto &v : x) v = normal(random);
        const type t = bytes ? type::s8 : type::f32;
        primitive_attr attr;
        if (bytes) attr.set_output_scales(0, {DNNL_RUNTIME_F32_VAL});
        const inner_product_forward::desc d(prop_kind::forward_inference, {{N, K}, t, tag::nc},
                                            {{M, K}, t, tag::any}, {{N, M}, type::f32, tag::nc});
        const inner_product_forward::primitive_desc pd(d, attr, cpu);
        std::vector<float> wide(codes.begin(), codes.end());
        memory from({{M, K}, t, tag::oi}, cpu, bytes ? (void *)codes.data() : (void *)wide.data());
        memory w(pd.weights_desc(), cpu);
        reorder(from, w).execute(work, from, w);
        work.wait();
        product = inner_product_forward(pd);
        with = {
            {DNNL_ARG_SRC, memory(pd.src_desc(), cpu, bytes ? (void *)q.data() : (void *)x.data())},
            {DNNL_ARG_WEIGHTS, w},
            {DNNL_ARG_DST, memory(pd.dst_desc(), cpu, y.data())}};
        if (bytes)
            with.insert(
                {DNNL_ARG_ATTR_OUTPUT_SCALES, memory({{1}, type::f32, tag::x}, cpu, &step)});
    }

    void quantize() {
        float most = 0;
        const float *from = x.data();
        const long n = N * K;
#pragma omp simd reduction(max : most)
        for (long i = 0; i < n; i++) most = std::max(most, std::fabs(from[i]));
        const float per = most > 0 ? 127 / most : 0;
        int8_t *to = q.data();
#pragma omp simd
        for (long i = 0; i < n; i++) to[i] = int8_t(std::nearbyintf(from[i] * per));
        step = most / 127;
    }

    void run() {
        if (bytes) quantize();
        product.execute(work, with);
        work.wait();
    }

    double residual() const {
        double worst = 0, most = 0;
        for (long n = 0; n < N; n++)
            for (long m = 0; m < M; m++) {
                double sum = 0;
                for (long k = 0; k < K; k++) sum += double(codes[m * K + k]) * x[n * K + k];
                most = std::max(most, std::fabs(sum));
                worst = std::max(worst, std::fabs(sum - y[n * M + m]));
            }
        return worst / most;
    }
};

/* -------------------------------------------------------------------- the peer */

template <typename Work> static void serve(const std::string &name, double residual, Work &work) {
    printf("%s\tresidual %.3g\n", name.c_str(), residual);
    fflush(stdout);
    for (std::string line; std::getline(std::cin, line);) {
        const double began = now();
        work.run();
        printf("%.9f\n", now() - began);
        fflush(stdout);
    }
}

static double difference(const std::vector<float> &want, const float *got) {
    double worst = 0, most = 0;
    for (size_t i = 0; i < want.size(); i++) {
        worst = std::max(worst, double(std::fabs(want[i] - got[i])));
        most = std::max(most, double(std::fabs(want[i])));
    }
    return worst / most;
}

static const char *instruction_set() {
    switch (get_effective_cpu_isa()) {
    case cpu_isa::avx2: return "avx2";
    case cpu_isa::avx2_vnni: return "avx-vnni";
    case cpu_isa::avx512_core: return "avx512";
    case cpu_isa::avx512_core_vnni: return "avx512 vnni";
    case cpu_isa::avx512_core_bf16: return "avx512 vnni bf16";
    case cpu_isa::avx512_core_amx: return "avx512 amx";
    default: return "least";
    }
}

int main(int count, char **word) {
    std::string model = "resnet18", mode = "int8", sizes;
    long batch = 1, threads = 1;
    bool layers = false;
    for (int i = 1; i < count; i++) {
        const std::string w = word[i], next = i + 1 < count ? word[i + 1] : "";
        if (w == "--layers")
            layers = true;
        else if (i++, w == "--model")
            model = next;
        else if (w == "--mode")
            mode = next;
        else if (w == "--batch")
            batch = atol(next.c_str());
        else if (w == "--threads")
            threads = atol(next.c_str());
        else if (w == "--linear")
            sizes = next;
        else
            return fprintf(stderr, "onednn: unknown option %s\n", w.c_str()), 2;
    }
    if ((model != "resnet18" && model != "resnet20") || (mode != "int8" && mode != "fp32") ||
        batch < 1)
        return fprintf(stderr, "onednn: --model resnet18|resnet20 --mode int8|fp32 --batch N\n"), 2;
    omp_set_num_threads(int(threads));
    const dnnl_version_t *v = dnnl_version();
    const std::string name = "oneDNN " + std::to_string(v->major) + "." + std::to_string(v->minor) +
                             "." + std::to_string(v->patch) + " " + mode + ", " + instruction_set();
    if (!sizes.empty()) {
        long M, K, N;
        if (sscanf(sizes.c_str(), "%ld,%ld,%ld", &M, &K, &N) != 3)
            return fprintf(stderr, "onednn: --linear ROWS,COLUMNS,VECTORS\n"), 2;
        linear l(M, K, N, mode == "int8");
        l.run();
        serve(name, l.residual(), l);
        return 0;
    }
    network net = make_network(model);
    session s(net, mode == "int8", batch);
    const std::vector<float> want = plain(net, s.x.data());
    s.build();
    for (int i = 0; i < 3; i++) s.run();
    if (layers)
        print_layers(s);
    else
        serve(name, difference(want, s.y.data()), s);
    return 0;
}
