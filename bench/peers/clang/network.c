/*
 * The workloads of `npm run peers` in plain C, for those who doubt AssemblyScript: no intrinsics, no libraries. The compiler makes the
 * vectors. Weights and their names, shapes and formulas are those of ../plain: PyTorch's, gates in PyTorch's order.
 *
 *     clang --target=wasm32 -O3 -msimd128 -nostdlib …, see clang.mjs
 */

#define EXPORT(name) __attribute__((export_name(name)))
#define ROWS 2
#define COLUMNS 16

typedef unsigned int u32;
enum { RNN = 1, GRU = 3, LSTM = 4 }; /* the number of gates names the cell */

__attribute__((import_module("env"), import_name("log"))) double js_log(double x);

/* Memory: taken from the end of the data, never given back. */

extern unsigned char __heap_base;
static u32 top;

static float *take(u32 floats) {
  if (!top) top = ((u32)&__heap_base + 63) & ~63u;
  float *at = (float *)top;
  top = (top + 4 * floats + 63) & ~63u;
  u32 have = __builtin_wasm_memory_size(0) << 16;
  if (top > have && __builtin_wasm_memory_grow(0, (top - have + 65535) >> 16) == -1ul) __builtin_trap();
  return at;
}

static void zero(float *x, int n) {
  for (int i = 0; i < n; i++) x[i] = 0;
}

/* Functions, to 3e-7 of the result's size or of 1. */

static inline float clamp(float x, float low, float high) {
  x = x < low ? low : x;
  return x > high ? high : x;
}

/* e^x = 2^n e^t, |t| ≤ ln 2 / 2 */
static inline float exp_(float x) {
  union { float f; int i; } n, power;
  x = clamp(x, -87, 88);
  n.f = x * 1.44269504f + 12582912; /* rounds to an integer in the low bits */
  float whole = n.f - 12582912;
  float t = x - whole * 0.693359375f + whole * 2.12194440e-4f;
  power.i = (n.i + 127) << 23;
  float p = 1.0f / 720;
  p = p * t + 1.0f / 120;
  p = p * t + 1.0f / 24;
  p = p * t + 1.0f / 6;
  p = p * t + 0.5f;
  return (p * t * t + t + 1) * power.f;
}

static inline float sigmoid(float x) { return 1 / (1 + exp_(-x)); }
static inline float tanh_(float x) { return 1 - 2 / (1 + exp_(2 * x)); }

/* ROWS rows and COLUMNS columns of a product; b [K,COLUMNS] without gaps. */
static void tile(float *restrict y, int ldy, const float *a, int lda, const float *b, int K) {
  float c[ROWS][COLUMNS];
  for (int i = 0; i < ROWS; i++)
    for (int j = 0; j < COLUMNS; j++) c[i][j] = y[i * ldy + j];
  for (int k = 0; k < K; k++)
    for (int i = 0; i < ROWS; i++)
      for (int j = 0; j < COLUMNS; j++) c[i][j] += a[i * lda + k] * b[k * COLUMNS + j];
  for (int i = 0; i < ROWS; i++)
    for (int j = 0; j < COLUMNS; j++) y[i * ldy + j] = c[i][j];
}

/* One row, 32 columns. */
static void strip(float *restrict y, const float *a, const float *b, int ldb, int K) {
  float c[32];
  for (int j = 0; j < 32; j++) c[j] = y[j];
  for (int k = 0; k < K; k++)
    for (int j = 0; j < 32; j++) c[j] += a[k] * b[k * ldb + j];
  for (int j = 0; j < 32; j++) y[j] = c[j];
}

/* y [M,N] += a [M,K] · b [K,N]. Columns of b are packed where several rows use them. */
static void product(float *y, int ldy, const float *a, int lda, const float *b, int ldb, int M, int N, int K) {
  static float packed[4096 * COLUMNS];
  int full = M < 4 || K > 4096 ? 0 : M - M % ROWS;
  int n = 0;
  for (; full && n + COLUMNS <= N; n += COLUMNS) {
    for (int k = 0; k < K; k++)
      for (int j = 0; j < COLUMNS; j++) packed[k * COLUMNS + j] = b[k * ldb + n + j];
    for (int m = 0; m < full; m += ROWS) tile(y + m * ldy + n, ldy, a + m * lda, lda, packed, K);
  }
  for (int m = 0; m < M; m++) {
    int j = m < full ? n : 0;
    for (; j + 32 <= N; j += 32) strip(y + m * ldy + j, a + m * lda, b + j, ldb, K);
    for (; j < N; j++) {
      float sum = y[m * ldy + j];
      for (int k = 0; k < K; k++) sum += a[m * lda + k] * b[k * ldb + j];
      y[m * ldy + j] = sum;
    }
  }
}

/* y [N,M] = xᵀ [M,N] */
static void transpose(float *y, const float *x, int M, int N) {
  for (int m = 0; m < M; m += 16)
    for (int n = 0; n < N; n++)
      for (int i = m; i < M && i < m + 16; i++) y[n * M + i] = x[i * N + n];
}

/* y [N] = the sum of the R rows of x */
static void sum_rows(float *y, const float *x, int N, int R) {
  zero(y, N);
  for (int r = 0; r < R; r++)
    for (int j = 0; j < N; j++) y[j] += x[r * N + j];
}

/* The network. */

typedef struct {
  int I, reverse;
  float *ih, *hh, *bih, *bhh; /* [G·H,I], [G·H,H], [G·H], [G·H], in the slab of weights */
  float *ihT, *hhT;           /* [I,G·H], [H,G·H] */
  float *h, *c;               /* [T+1,B,H]; the initial state is the first or, reversed, the last */
  float *z, *q;               /* [T,B,G·H] gates, then their gradients; GRU: q, the product with h and its gradient */
  float *dx, *dy, *dh, *dc;
} Layer;

static struct {
  int task, cell, T, B, I, H, L, V, layers;
  float *w, *g, *m, *v;
  int size;
  float *table, *head, *bias, *headT;
  float *x, *y, *dy, *ends, *dends;
  float *scratch; /* gradients of gates or logits, transposed */
  int *inputs, *targets;
  Layer layer[8];
} net;

enum { STEP, SEQUENCE, CHARACTERS, CLASSES };

static float *parameter(int n) {
  float *at = net.w + net.size;
  net.size += n;
  return at;
}

static float *gradient(const float *w) { return net.g + (w - net.w); }

static void refresh(void) {
  int GH = net.cell * net.H;
  for (int l = 0; l < net.layers; l++) {
    Layer *own = &net.layer[l];
    transpose(own->ihT, own->ih, GH, own->I);
    transpose(own->hhT, own->hh, GH, net.H);
  }
  if (net.V) transpose(net.headT, net.head, net.V, net.task == CLASSES ? 2 * net.H : net.H);
}

/* The address of the weights, in the order of `numbers` in ../workloads.ts; `start` follows. */
EXPORT("create") float *create(int task, int cell, int T, int B, int I, int H, int L, int V) {
  int GH = cell * H, R = T * B, trains = task >= CHARACTERS, width = task == CLASSES ? 2 * H : H;
  net.task = task, net.cell = cell, net.T = T, net.B = B, net.I = I, net.H = H, net.L = L, net.V = V;
  net.layers = task == CLASSES ? 2 : L;
  int size = V * (I + width + 1) + net.layers * GH * ((I > H ? I : H) + H + 2);
  net.w = take(size), net.g = take(size), net.m = take(size), net.v = take(size);
  zero(net.m, size), zero(net.v, size);
  if (task == CHARACTERS) net.table = parameter(V * I);
  for (int l = 0; l < net.layers; l++) {
    Layer *own = &net.layer[l];
    own->reverse = task == CLASSES && l == 1;
    own->I = l == 0 || task == CLASSES ? I : H;
    own->ih = parameter(GH * own->I), own->hh = parameter(GH * H), own->bih = parameter(GH), own->bhh = parameter(GH);
    own->ihT = take(GH * own->I), own->hhT = take(GH * H);
    own->h = take((T + 1) * B * H), own->c = take((T + 1) * B * H);
    zero(own->h, (T + 1) * B * H), zero(own->c, (T + 1) * B * H);
    own->z = take(R * GH), own->q = cell == GRU ? take(R * GH) : own->z;
    if (trains) own->dx = take(R * own->I), own->dy = take(R * H), own->dh = take(B * H), own->dc = take(B * H);
  }
  if (V) {
    int rows = task == CLASSES ? B : R;
    net.head = parameter(V * width), net.bias = parameter(V), net.headT = take(V * width);
    net.y = take(rows * V), net.dy = take(rows * V);
    net.ends = take(B * width), net.dends = take(B * width);
  }
  if (trains) net.scratch = take(R * (GH > V ? GH : V));
  net.x = take(R * I), net.inputs = (int *)take(R), net.targets = (int *)take(R);
  return net.w;
}

EXPORT("start") void start(void) { refresh(); }
EXPORT("gradients") float *gradients(void) { return net.g; }
/* Features [T,B,I], or tokens [T,B]. */
EXPORT("inputs") void *inputs(void) { return net.task == CHARACTERS ? (void *)net.inputs : (void *)net.x; }
EXPORT("targets") int *targets(void) { return net.targets; }
/* Outputs [T,B,H] of the last layer. */
EXPORT("outputs") float *outputs(void) { return net.layer[net.layers - 1].h + net.B * net.H; }

static void layer_forward(Layer *own, const float *x) {
  int T = net.T, B = net.B, H = net.H, I = own->I, cell = net.cell, GH = cell * H, R = T * B;
  float *z = own->z, *q = own->q;
  for (int r = 0; r < R; r++)
    for (int j = 0; j < GH; j++) {
      z[r * GH + j] = own->bih[j] + (cell == GRU ? 0 : own->bhh[j]);
      if (cell == GRU) q[r * GH + j] = own->bhh[j];
    }
  product(z, GH, x, I, own->ihT, GH, R, GH, I);
  for (int s = 0; s < T; s++) {
    int t = own->reverse ? T - 1 - s : s;
    /* reversed: the state before step t is the one after step t + 1 */
    float *before = own->h + (own->reverse ? t + 1 : t) * B * H, *after = own->h + (own->reverse ? t : t + 1) * B * H;
    float *c0 = own->c + (before - own->h), *c1 = own->c + (after - own->h);
    product(q + t * B * GH, GH, before, H, own->hhT, GH, B, GH, H);
    for (int b = 0; b < B; b++) {
      float *a = z + (t * B + b) * GH, *p = q + (t * B + b) * GH;
      float *restrict h1 = after + b * H, *restrict cc = c1 + b * H;
      const float *h0 = before + b * H, *cp = c0 + b * H;
      if (cell == LSTM) {
        for (int u = 0; u < 2 * H; u++) a[u] = sigmoid(a[u]);
        for (int u = 2 * H; u < 3 * H; u++) a[u] = tanh_(a[u]);
        for (int u = 3 * H; u < 4 * H; u++) a[u] = sigmoid(a[u]);
        for (int u = 0; u < H; u++) cc[u] = a[H + u] * cp[u] + a[u] * a[2 * H + u];
        for (int u = 0; u < H; u++) h1[u] = a[3 * H + u] * tanh_(cc[u]);
      } else if (cell == GRU) {
        for (int u = 0; u < 2 * H; u++) a[u] = sigmoid(a[u] + p[u]);
        for (int u = 2 * H; u < 3 * H; u++) a[u] = tanh_(a[u] + a[u - 2 * H] * p[u]);
        for (int u = 0; u < H; u++) h1[u] = a[2 * H + u] + a[H + u] * (h0[u] - a[2 * H + u]);
      } else {
        for (int u = 0; u < H; u++) h1[u] = a[u] = tanh_(a[u]);
      }
    }
  }
}

/* From own->dy [T,B,H] and own->dh, the gradient of the final state. */
static void layer_backward(Layer *own, const float *x) {
  int T = net.T, B = net.B, H = net.H, I = own->I, cell = net.cell, GH = cell * H, R = T * B;
  float *z = own->z, *q = own->q, *dh = own->dh, *dc = own->dc;
  zero(dc, B * H);
  for (int s = T - 1; s >= 0; s--) {
    int t = own->reverse ? T - 1 - s : s;
    float *before = own->h + (own->reverse ? t + 1 : t) * B * H, *after = own->h + (own->reverse ? t : t + 1) * B * H;
    float *c0 = own->c + (before - own->h), *c1 = own->c + (after - own->h);
    for (int b = 0; b < B; b++) {
      float *a = z + (t * B + b) * GH, *p = q + (t * B + b) * GH;
      const float *h0 = before + b * H, *cp = c0 + b * H, *cc = c1 + b * H, *dy = own->dy + (t * B + b) * H;
      float *restrict d = dh + b * H, *restrict e = dc + b * H;
      for (int u = 0; u < H; u++) {
        float g = d[u] + dy[u];
        if (cell == LSTM) {
          float i = a[u], f = a[H + u], n = a[2 * H + u], o = a[3 * H + u], tc = tanh_(cc[u]);
          float k = e[u] + g * o * (1 - tc * tc);
          a[u] = k * n * i * (1 - i);
          a[H + u] = k * cp[u] * f * (1 - f);
          a[2 * H + u] = k * i * (1 - n * n);
          a[3 * H + u] = g * tc * o * (1 - o);
          e[u] = k * f;
          d[u] = 0;
        } else if (cell == GRU) {
          float r = a[u], k = a[H + u], n = a[2 * H + u];
          float dn = g * (1 - k) * (1 - n * n), dr = dn * p[2 * H + u] * r * (1 - r), dk = g * (h0[u] - n) * k * (1 - k);
          a[u] = p[u] = dr;
          a[H + u] = p[H + u] = dk;
          a[2 * H + u] = dn;
          p[2 * H + u] = dn * r;
          d[u] = g * k;
        } else {
          a[u] = g * (1 - a[u] * a[u]);
          d[u] = 0;
        }
      }
    }
    product(dh, H, q + t * B * GH, GH, own->hh, H, B, H, GH);
  }
  zero(own->dx, R * I);
  product(own->dx, I, z, GH, own->ih, I, R, I, GH);
  zero(gradient(own->ih), GH * I);
  transpose(net.scratch, z, R, GH);
  product(gradient(own->ih), I, net.scratch, R, x, I, GH, I, R);
  zero(gradient(own->hh), GH * H);
  if (q != z) transpose(net.scratch, q, R, GH);
  product(gradient(own->hh), H, net.scratch, R, own->h + (own->reverse ? B * H : 0), H, GH, H, R);
  sum_rows(gradient(own->bih), z, GH, R);
  sum_rows(gradient(own->bhh), q, GH, R);
}

/* Logits of `rows`, the mean cross-entropy, its gradient into dx. */
static float head(const float *x, float *dx, int rows, int width) {
  int V = net.V;
  for (int r = 0; r < rows; r++)
    for (int o = 0; o < V; o++) net.y[r * V + o] = net.bias[o];
  product(net.y, V, x, width, net.headT, V, rows, V, width);
  double loss = 0;
  for (int r = 0; r < rows; r++) {
    float *y = net.y + r * V, *dy = net.dy + r * V, most = y[0], sum = 0;
    for (int o = 1; o < V; o++) most = y[o] > most ? y[o] : most;
    for (int o = 0; o < V; o++) dy[o] = exp_(y[o] - most);
    for (int o = 0; o < V; o++) sum += dy[o];
    for (int o = 0; o < V; o++) dy[o] /= sum * rows;
    loss += js_log(sum) + most - y[net.targets[r]];
    dy[net.targets[r]] -= 1.0f / rows;
  }
  zero(dx, rows * width);
  product(dx, width, net.dy, V, net.head, width, rows, width, V);
  zero(gradient(net.head), V * width);
  transpose(net.scratch, net.dy, rows, V);
  product(gradient(net.head), width, net.scratch, rows, x, width, V, width, rows);
  sum_rows(gradient(net.bias), net.dy, V, rows);
  return loss / rows;
}

/* Kingma & Ba 2015, as in PyTorch; `step` and `root` hold the corrections of the bias. */
EXPORT("adam") void adam(float step, float root) {
  float *restrict w = net.w, *restrict m = net.m, *restrict v = net.v;
  const float *g = net.g;
  for (int i = 0; i < net.size; i++) {
    m[i] += 0.1f * (g[i] - m[i]);
    v[i] += 0.001f * (g[i] * g[i] - v[i]);
    w[i] -= step * m[i] / (__builtin_sqrtf(v[i]) * root + 1e-8f);
  }
  refresh();
}

/* `step` leaves the final state as the initial one. */
EXPORT("forward") void forward(void) {
  const float *x = net.x;
  for (int l = 0; l < net.layers; l++) {
    layer_forward(&net.layer[l], x);
    x = net.layer[l].h + net.B * net.H;
  }
  if (net.task == STEP) {
    Layer *own = &net.layer[0];
    for (int u = 0; u < net.H; u++) own->h[u] = own->h[net.H + u], own->c[u] = own->c[net.H + u];
  }
}

/* Forward and back; the loss. */
EXPORT("backward") float backward(void) {
  int T = net.T, B = net.B, I = net.I, H = net.H, R = T * B;
  float loss;
  if (net.task == CHARACTERS) {
    for (int r = 0; r < R; r++)
      for (int e = 0; e < I; e++) net.x[r * I + e] = net.table[net.inputs[r] * I + e];
    forward();
    loss = head(outputs(), net.layer[net.layers - 1].dy, R, H);
    for (int l = net.layers - 1; l >= 0; l--) {
      Layer *own = &net.layer[l];
      zero(own->dh, B * H);
      layer_backward(own, l ? net.layer[l - 1].h + B * H : net.x);
      if (l)
        for (int i = 0; i < R * H; i++) net.layer[l - 1].dy[i] = own->dx[i];
    }
    float *table = gradient(net.table), *dx = net.layer[0].dx;
    zero(table, net.V * I);
    for (int r = 0; r < R; r++)
      for (int e = 0; e < I; e++) table[net.inputs[r] * I + e] += dx[r * I + e];
    return loss;
  }
  for (int d = 0; d < 2; d++) {
    layer_forward(&net.layer[d], net.x);
    const float *end = net.layer[d].h + (d ? 0 : R * H);
    for (int b = 0; b < B; b++)
      for (int u = 0; u < H; u++) net.ends[(b * 2 + d) * H + u] = end[b * H + u];
  }
  loss = head(net.ends, net.dends, B, 2 * H);
  for (int d = 0; d < 2; d++) {
    Layer *own = &net.layer[d];
    for (int b = 0; b < B; b++)
      for (int u = 0; u < H; u++) own->dh[b * H + u] = net.dends[(b * 2 + d) * H + u];
    zero(own->dy, R * H);
    layer_backward(own, net.x);
  }
  return loss;
}
