//! What a grant stands for: whose key it is bound to, with which token it is redeemed, and whether anybody approved it at all.

mod bound;
mod break_glass;
mod dump;
mod rotation;
