//! The examples of RFC 6570, §1.2 and §3.2: each template matches its expansion.

use super::*;

#[test]
fn every_example_matches() {
    for line in EXAMPLES.lines().filter(|line| !line.is_empty()) {
        let (template, expansion) = line.split_once(' ').expect("a template and its expansion");
        for syntax in [Syntax::Mercure, Syntax::Native] {
            let selector = parse(template, syntax);
            assert!(!selector.is_exact(), "{template}");
            // The empty expansion is not a topic, but must match.
            assert!(selector.matches(expansion), "{template} {expansion:?}");
            assert!(expansion.starts_with(selector.prefix()));
        }
    }
}

/// A template, a space, its expansion. Examples of §1.2 that §3.2 repeats occur once.
const EXAMPLES: &str = r"
{var} value
{hello} Hello%20World%21
{+var} value
{+hello} Hello%20World!
{+path}/here /foo/bar/here
here?ref={+path} here?ref=/foo/bar
X{#var} X#value
X{#hello} X#Hello%20World!
map?{x,y} map?1024,768
{x,hello,y} 1024,Hello%20World%21,768
{+x,hello,y} 1024,Hello%20World!,768
{+path,x}/here /foo/bar,1024/here
{#x,hello,y} #1024,Hello%20World!,768
{#path,x}/here #/foo/bar,1024/here
X{.var} X.value
X{.x,y} X.1024.768
{/var} /value
{/var,x}/here /value/1024/here
{;x,y} ;x=1024;y=768
{;x,y,empty} ;x=1024;y=768;empty
{?x,y} ?x=1024&y=768
{?x,y,empty} ?x=1024&y=768&empty=
?fixed=yes{&x} ?fixed=yes&x=1024
{&x,y,empty} &x=1024&y=768&empty=
{var:3} val
{var:30} value
{list} red,green,blue
{list*} red,green,blue
{keys} semi,%3B,dot,.,comma,%2C
{keys*} semi=%3B,dot=.,comma=%2C
{+path:6}/here /foo/b/here
{+list} red,green,blue
{+list*} red,green,blue
{+keys} semi,;,dot,.,comma,,
{+keys*} semi=;,dot=.,comma=,
{#path:6}/here #/foo/b/here
{#list} #red,green,blue
{#list*} #red,green,blue
{#keys} #semi,;,dot,.,comma,,
{#keys*} #semi=;,dot=.,comma=,
X{.var:3} X.val
X{.list} X.red,green,blue
X{.list*} X.red.green.blue
X{.keys} X.semi,%3B,dot,.,comma,%2C
X{.keys*} X.semi=%3B.dot=..comma=%2C
{/var:1,var} /v/value
{/list} /red,green,blue
{/list*} /red/green/blue
{/list*,path:4} /red/green/blue/%2Ffoo
{/keys} /semi,%3B,dot,.,comma,%2C
{/keys*} /semi=%3B/dot=./comma=%2C
{;hello:5} ;hello=Hello
{;list} ;list=red,green,blue
{;list*} ;list=red;list=green;list=blue
{;keys} ;keys=semi,%3B,dot,.,comma,%2C
{;keys*} ;semi=%3B;dot=.;comma=%2C
{?var:3} ?var=val
{?list} ?list=red,green,blue
{?list*} ?list=red&list=green&list=blue
{?keys} ?keys=semi,%3B,dot,.,comma,%2C
{?keys*} ?semi=%3B&dot=.&comma=%2C
{&var:3} &var=val
{&list} &list=red,green,blue
{&list*} &list=red&list=green&list=blue
{&keys} &keys=semi,%3B,dot,.,comma,%2C
{&keys*} &semi=%3B&dot=.&comma=%2C
{count} one,two,three
{count*} one,two,three
{/count} /one,two,three
{/count*} /one/two/three
{;count} ;count=one,two,three
{;count*} ;count=one;count=two;count=three
{?count} ?count=one,two,three
{?count*} ?count=one&count=two&count=three
{&count*} &count=one&count=two&count=three
{half} 50%25
O{empty}X OX
O{undef}X OX
{x,y} 1024,768
?{x,empty} ?1024,
?{x,undef} ?1024
?{undef,y} ?768
{+half} 50%25
{base}index http%3A%2F%2Fexample.com%2Fhome%2Findex
{+base}index http://example.com/home/index
O{+empty}X OX
O{+undef}X OX
up{+path}{var}/here up/foo/barvalue/here
{#var} #value
{#hello} #Hello%20World!
{#half} #50%25
foo{#empty} foo#
foo{#undef} foo
{.who} .fred
{.who,who} .fred.fred
{.half,who} .50%25.fred
www{.dom*} www.example.com
X{.empty} X.
X{.undef} X
X{.empty_keys} X
X{.empty_keys*} X
{/who} /fred
{/who,who} /fred/fred
{/half,who} /50%25/fred
{/who,dub} /fred/me%2Ftoo
{/var,empty} /value/
{/var,undef} /value
{/var,x}/here /value/1024/here
{;who} ;who=fred
{;half} ;half=50%25
{;empty} ;empty
{;v,empty,who} ;v=6;empty;who=fred
{;v,bar,who} ;v=6;who=fred
{;x,y,undef} ;x=1024;y=768
{?who} ?who=fred
{?half} ?half=50%25
{?x,y,undef} ?x=1024&y=768
{&who} &who=fred
{&half} &half=50%25
{&x,y,undef} &x=1024&y=768
{var:3}{+path} val/foo/bar
{undef} 
{empty} 
{?undef} 
";
