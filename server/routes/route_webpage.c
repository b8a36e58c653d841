/*
 * The page's text and its headers. Its script and style run by a nonce drawn for each
 * answer, so the policy allows nothing else, and requests go to this server only.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "server/routes/route_webpage.h"

#include "server/serve/reply.h"

#include <stdio.h>
#include <string.h>
#include <sys/random.h>

static const char document[] =
    "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n"
    "<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\n"
    "<title>ssmd</title>\n<style nonce=\"@\">\n"
    ":root{color-scheme:light dark}\n"
    "body{font:16px/1.5 system-ui,sans-serif;max-width:46rem;margin:2rem auto;padding:0 1rem}\n"
    "textarea{width:100%;min-height:7rem;font:inherit;box-sizing:border-box}\n"
    "fieldset{border:0;padding:0;margin:.5rem 0;display:flex;gap:1rem;flex-wrap:wrap}\n"
    "input{width:5rem;font:inherit}input[type=password]{width:12rem}\n"
    "button{font:inherit;padding:.3rem 1.2rem}\n"
    "#out{white-space:pre-wrap;border-top:1px solid #8888;margin-top:1rem;padding-top:1rem}\n"
    "#out b{font-weight:600}#note{color:#888;min-height:1.5em}\n"
    "</style></head><body>\n<h1>ssmd <small id=\"model\"></small></h1>\n"
    "<form id=\"form\"><label for=\"prompt\">Prompt</label>\n"
    "<textarea id=\"prompt\">The rain had stopped. She opened the window and</textarea>\n<fieldset>\n"
    "<label>max tokens <input id=\"max\" type=\"number\" min=\"1\" value=\"128\"></label>\n"
    "<label>temperature <input id=\"temp\" type=\"number\" min=\"0\" max=\"2\" step=\"0.1\" "
    "value=\"0.7\"></label>\n"
    "<label>key <input id=\"key\" type=\"password\" autocomplete=\"off\"></label>\n"
    "</fieldset><button id=\"go\">Complete</button>\n"
    "<button id=\"stop\" type=\"button\" disabled>Stop</button></form>\n"
    "<p id=\"note\" role=\"status\"></p><div id=\"out\" aria-live=\"polite\"></div>\n"
    "<script nonce=\"@\">\n"
    "const $=id=>document.getElementById(id);let ctl=null;\n"
    "const head=()=>{const h={'Content-Type':'application/json'};"
    "if($('key').value)h.Authorization='Bearer '+$('key').value;return h};\n"
    "fetch('/v1/models',{headers:head()}).then(r=>r.json())"
    ".then(j=>{if(j.data)$('model').textContent=j.data[0].id}).catch(()=>{});\n"
    "async function* lines(r){const d=r.body.pipeThrough(new TextDecoderStream()).getReader();"
    "let s='';for(;;){const{done,value}=await d.read();if(done)return;s+=value;let i;"
    "while((i=s.indexOf('\\n\\n'))>=0){yield s.slice(0,i);s=s.slice(i+2)}}}\n"
    "async function run(){const b=document.createElement('b');const t=$('prompt').value;"
    "b.textContent=t;$('out').replaceChildren(b);$('note').textContent='';"
    "ctl=new AbortController();$('go').disabled=true;$('stop').disabled=false;\n"
    "let n=0;const t0=performance.now();\n"
    "try{const r=await fetch('/v1/completions',{method:'POST',headers:head(),"
    "signal:ctl.signal,body:JSON.stringify({prompt:t,stream:true,"
    "max_tokens:+$('max').value,temperature:+$('temp').value})});\n"
    "if(!r.ok){const j=await r.json();throw new Error(j.error.message)}\n"
    "for await(const l of lines(r)){if(!l.startsWith('data: ')||l==='data: [DONE]')continue;"
    "const j=JSON.parse(l.slice(6));if(j.error)throw new Error(j.error.message);"
    "for(const c of j.choices){$('out').append(c.text);n++}}\n"
    "$('note').textContent=n+' chunks in '+((performance.now()-t0)/1000).toFixed(2)+' s'}\n"
    "catch(e){$('note').textContent=e.name==='AbortError'?'stopped':e.message}\n"
    "$('go').disabled=false;$('stop').disabled=true;ctl=null}\n"
    "$('form').onsubmit=e=>{e.preventDefault();if(!ctl)run()};\n"
    "$('stop').onclick=()=>ctl&&ctl.abort();\n"
    "</script></body></html>\n";

/* Every @ of the document stands for the nonce. */
static void fill(struct buf *out, const char *nonce)
{
    const char *at = document;
    for (const char *mark; (mark = strchr(at, '@')); at = mark + 1) {
        buf_put(out, at, (size_t)(mark - at));
        buf_puts(out, nonce);
    }
    buf_puts(out, at);
}

static int step_page(struct conn *c, struct err *err)
{
    (void)err;
    uint64_t x[2] = {server_now(), (uintptr_t)c};
    if (getrandom(x, sizeof x, 0) < 0)
        x[0] ^= x[1];
    char nonce[40], policy[320];
    snprintf(nonce, sizeof nonce, "%016llx%016llx", (unsigned long long)x[0],
             (unsigned long long)x[1]);
    snprintf(policy, sizeof policy,
             "default-src 'none'; script-src 'nonce-%s'; style-src 'nonce-%s'; "
             "connect-src 'self'; base-uri 'none'; form-action 'none'; "
             "frame-ancestors 'none'",
             nonce, nonce);
    struct http_reply r = {.status = 200};
    fill(&r.body, nonce);
    http_field(&r, "Content-Type", "text/html; charset=utf-8");
    http_field(&r, "Content-Security-Policy", policy);
    http_field(&r, "Cache-Control", "no-cache");
    http_field(&r, "X-Content-Type-Options", "nosniff");
    http_field(&r, "Referrer-Policy", "no-referrer");
    reply_send(c, &r);
    return CONN_DONE;
}

const struct route_ops route_webpage = {.steps =
                                            (conn_step_fn *const[]){step_page, NULL}};
