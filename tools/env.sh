# Sourced by the scripts beside it, in the top folder: which Lua, which nginx, and this tree's own paths.
: "${LUA:=5.4}"
: "${BUILD:=build/$LUA}"

lua_names() {  # what distributions call it
  case $LUA in
    luajit) echo luajit ;;
    *) echo "lua$LUA" "lua-$LUA" "lua$(echo "$LUA" | tr -d .)" lua ;;
  esac
}

lua_program() {  # $LUA_BIN, or what is found
  [ -z "${LUA_BIN-}" ] || { echo "$LUA_BIN"; return; }
  for name in $(lua_names); do
    if "$name" -e "assert(('$LUA' == 'luajit' and jit) or _VERSION == 'Lua $LUA')" >/dev/null 2>&1; then
      echo "$name"
      return
    fi
  done
  return 1
}

lua_package() {  # its name for pkg-config
  for name in $(lua_names); do
    range=$name
    [ "$name" != lua ] || range="lua >= $LUA lua < $LUA.99"
    if pkg-config --exists "$range" 2>/dev/null; then
      echo "$name"
      return
    fi
  done
  return 1
}

choose_nginx() {  # the caller's, the one that install-packages unpacked, or the machine's
  unpacked=$PWD/build/tools/usr
  if [ -z "${EMR_NGINX-}" ] && [ -x "$unpacked/sbin/nginx" ]; then
    EMR_NGINX=$unpacked/sbin/nginx
    EMR_NGINX_MODULES=$unpacked/lib/nginx/modules
    EMR_NGINX_LUA_PATH=$unpacked/share/lua/5.1/?.lua
    LUA_PATH="${LUA_PATH-;};$EMR_NGINX_LUA_PATH"
  fi
  : "${EMR_NGINX:=$(PATH=$PATH:/usr/sbin:/usr/local/sbin command -v nginx || echo nginx)}"
  for directory in /usr/share/nginx/modules /usr/lib/nginx/modules; do
    [ ! -f "$directory/ngx_http_lua_module.so" ] || : "${EMR_NGINX_MODULES:=$directory}"
  done
  : "${EMR_NGINX_MODULES:=}" "${EMR_NGINX_LUA_PATH:=}"
  export EMR_NGINX EMR_NGINX_MODULES EMR_NGINX_LUA_PATH LUA_PATH
}

use_this_tree() {  # and nothing of the caller's own cloud settings
  unset $(env | sed -n 's/^\(LUA_C*PATH_5_[0-9]\|LUA_INIT[_0-9]*\|ALIBABA_CLOUD_[A-Z_]*\)=.*/\1/p') \
    EMR_ENDPOINT EMR_CA_FILE \
    http_proxy https_proxy all_proxy no_proxy HTTP_PROXY HTTPS_PROXY ALL_PROXY NO_PROXY
  # a credential chain that is run to its end must not ask the network for an instance's keys
  export ALIBABA_CLOUD_ECS_METADATA_DISABLED=true
  export LUA_PATH="$PWD/lua/?.lua;$PWD/?.lua;;" LUA_CPATH="$PWD/$BUILD/?.so;;"
  choose_nginx
}
